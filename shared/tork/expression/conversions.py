"""Builtins that convert and inspect values, and those on dates."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from typing import Any

from tork.durations import parse_nanoseconds
from tork.errors import DurationError
from tork.expression import layouts
from tork.expression.access import get
from tork.expression.dates import SECOND, UTC_ZONE, Date, Duration, Named, Zone, zone_named
from tork.expression.faults import Fault
from tork.expression.jsontext import from_json, to_json
from tork.expression.kinds import Summary, as_int, as_text, kind
from tork.expression.lexer import MAX_INT, MIN_INT
from tork.expression.limits import Budget
from tork.expression.render import show
from tork.expression.signature import Function, fixed, metered

_INT = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MAX_DIGITS = 400


def _int(value: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is Named:
        return value.number
    if (type(value) is float and math.isfinite(value)) or (
        type(value) is str and len(value) <= _MAX_DIGITS and _INT.fullmatch(value)
    ):
        whole = int(value)
    elif type(value) is str:
        raise Fault("int needs a string of decimal digits with an optional sign")
    else:
        raise Fault(f"int needs a finite number or a string, not {kind(value)}")
    if not MIN_INT <= whole <= MAX_INT:
        raise Fault("the number does not fit in an integer of 64 bits")
    return whole


def _float(value: Any) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    if type(value) is not str:
        raise Fault(f"float needs a number or a string, not {kind(value)}")
    if len(value) > _MAX_DIGITS or not _FLOAT.fullmatch(value):
        raise Fault("float needs a string with a decimal number, without blanks")
    number = float(value)
    if math.isinf(number):
        raise Fault("the number is too large for a float")
    return number


def _string(budget: Budget, value: Any) -> str:
    text = value if type(value) is str else show(value, budget.limits.text)
    budget.spend(len(text) >> 8)
    budget.copy_text(len(text))
    return text


def _len(value: Any) -> int:
    if type(value) in {str, list, dict}:
        return len(value)
    if isinstance(value, Summary):
        return len(value.fields)
    raise Fault(f"len needs a string, an array or a map, not {kind(value)}")


def _get(value: Any, key: Any) -> Any:
    return get(value, key)


def _now() -> Date:
    return Date(time.time_ns())


def _date(budget: Budget, text: Any, layout: Any = None, zone: Any = None) -> Date:
    source = as_text(text, "date")
    place = UTC_ZONE if zone is None else zone if type(zone) is Zone else zone_named(as_text(zone, "date"))
    if layout is not None:
        candidates: tuple[str, ...] = (checked_layout(layout, budget),)
    else:
        candidates = layouts.DEFAULT_LAYOUTS
    budget.spend(10)
    for candidate in candidates:
        date = layouts.read(source, candidate, place)
        if date is not None:
            return date
    shown = "as the layout shows" if layout is not None else "such as 2006-01-02 or 2006-01-02T15:04:05Z"
    raise Fault(f"date needs a date {shown}")


def checked_layout(layout: Any, budget: Budget) -> str:
    """A date layout that is not too long."""
    text = as_text(layout, "a date layout")
    if len(text) > budget.limits.layout:
        raise Fault(f"a date layout has at most {budget.limits.layout} characters")
    return text


def _duration(text: Any) -> Duration:
    source = as_text(text, "duration")
    try:
        return Duration(parse_nanoseconds(source))
    except DurationError as error:
        raise Fault("duration needs a text such as 1h30m, 250ms or -1.5h") from error


def _timezone(name: Any) -> Zone:
    return zone_named(as_text(name, "timezone"))


FUNCTIONS: dict[str, Function] = {
    "int": fixed(_int, 1, instant=True),
    "float": fixed(_float, 1, instant=True),
    "string": metered(_string, 1),
    "toJSON": metered(to_json, 1),
    "fromJSON": metered(from_json, 1),
    "len": fixed(_len, 1, instant=True),
    "type": fixed(kind, 1, instant=True),
    "get": fixed(_get, 2, instant=True),
    "now": fixed(_now, 0),
    "date": metered(_date, 1, 3),
    "duration": fixed(_duration, 1),
    "timezone": fixed(_timezone, 1),
}


def _format(budget: Budget, date: Date, layout: Any) -> str:
    text = layouts.write(date, checked_layout(layout, budget))
    budget.copy_text(len(text))
    return text


def _in(_: Budget, date: Date, zone: Any) -> Date:
    if type(zone) is not Zone:
        raise Fault('In needs a zone, such as timezone("Europe/Zurich")')
    return Date(date.nanoseconds, zone)


def _shift(_: Budget, date: Date, years: Any, months: Any, days: Any) -> Date:
    return date.shifted(as_int(years, "AddDate"), as_int(months, "AddDate"), as_int(days, "AddDate"))


def _as_date(value: Any) -> Date:
    if type(value) is not Date:
        raise Fault(f"a date can't be compared with {kind(value)}")
    return value


def _plain(read: Callable[[Any], Any]) -> tuple[int, Callable[..., Any]]:
    return 0, lambda _, value: read(value)


Methods = dict[str, tuple[int, Callable[..., Any]]]
# for each name the number of arguments and the function; it gets the budget, the receiver, the arguments

_DATE: Methods = {
    "Year": _plain(lambda date: date.wall().year),
    "Month": _plain(lambda date: date.wall().month_name),
    "Day": _plain(lambda date: date.wall().day),
    "Hour": _plain(lambda date: date.wall().hour),
    "Minute": _plain(lambda date: date.wall().minute),
    "Second": _plain(lambda date: date.wall().second),
    "Nanosecond": _plain(lambda date: date.wall().nanosecond),
    "YearDay": _plain(lambda date: date.wall().year_day),
    "Weekday": _plain(lambda date: date.wall().weekday),
    "Unix": _plain(lambda date: date.nanoseconds // SECOND),
    "UnixMilli": _plain(lambda date: date.nanoseconds // 1_000_000),
    "Format": (1, _format),
    "In": (1, _in),
    "AddDate": (3, _shift),
    "Before": (1, lambda _, date, other: date < _as_date(other)),
    "After": (1, lambda _, date, other: date > _as_date(other)),
    "Equal": (1, lambda _, date, other: date == _as_date(other)),
    "IsZero": _plain(lambda date: date.nanoseconds == -62_135_596_800 * SECOND),
}
_DURATION: Methods = {
    "Hours": _plain(lambda duration: duration.nanoseconds / (3600 * SECOND)),
    "Minutes": _plain(lambda duration: duration.nanoseconds / (60 * SECOND)),
    "Seconds": _plain(lambda duration: duration.nanoseconds / SECOND),
    "Milliseconds": _plain(lambda duration: _truncated(duration.nanoseconds, 1_000_000)),
    "Microseconds": _plain(lambda duration: _truncated(duration.nanoseconds, 1_000)),
    "Nanoseconds": _plain(lambda duration: duration.nanoseconds),
    "String": _plain(str),
}
METHODS: dict[type, Methods] = {Date: _DATE, Duration: _DURATION}


def _truncated(nanoseconds: int, unit: int) -> int:
    size = abs(nanoseconds) // unit
    return -size if nanoseconds < 0 else size


def call_method(value: Any, name: str, arguments: list[Any], budget: Budget) -> Any:
    """`value.name(arguments)`: only dates and durations have methods. Raises `Fault`."""
    methods = METHODS.get(type(value))
    if methods is None or name not in methods:
        raise Fault(f"{kind(value)} has no method {name}")
    count, method = methods[name]
    if len(arguments) != count:
        raise Fault(f"{name} takes {count} argument{'s' if count != 1 else ''}")
    budget.spend(2)
    return method(budget, value, *arguments)
