"""`toJSON` and `fromJSON`.

Reading is strict and makes every number a float. Text that is not valid Unicode is repaired here, so that it can't
reach a database or a terminal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tork.expression import layouts
from tork.expression.dates import Date, Duration, Named, Zone
from tork.expression.faults import Fault
from tork.expression.kinds import Summary, as_text, kind
from tork.expression.limits import Budget
from tork.expression.render import float_digits, key_order, plain_digits, show

_ESCAPED = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_PLAIN_EXPONENTS = range(-6, 21)


def from_json(budget: Budget, text: object) -> Any:
    """The value of a JSON text. Raises `Fault`."""
    source = as_text(text, "fromJSON")
    if len(source) > budget.limits.json_text:
        raise Fault(f"fromJSON reads at most {budget.limits.json_text} characters")
    budget.spend(len(source) >> 8)
    try:
        value = json.loads(source, parse_int=_number, parse_float=_number, parse_constant=_number)
    except (ValueError, RecursionError) as error:
        place = f" at line {error.lineno} column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise Fault(f"fromJSON needs valid JSON, and this is not{place}") from error
    return _repaired(value, budget.limits.json_depth)


def _number(text: str) -> float:
    value = float(text)
    if value - value != 0:  # an infinity or NaN
        raise ValueError("out of range")
    return value


def _repaired(value: Any, depth: int) -> Any:
    if type(value) is str:
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if depth <= 0 and type(value) in {list, dict}:
        raise Fault("fromJSON reads no deeper nesting")
    if type(value) is list:
        return [_repaired(item, depth - 1) for item in value]
    if type(value) is dict:
        return {_repaired(key, depth): _repaired(item, depth - 1) for key, item in value.items()}
    return value


def to_json(budget: Budget, value: object) -> str:
    """The value as JSON with an indent of two spaces and sorted keys. Raises `Fault`."""
    writer = _Writer(budget)
    writer.write(value, "\n")
    return "".join(writer.pieces)


class _Writer:
    def __init__(self, budget: Budget) -> None:
        self.pieces: list[str] = []
        self._budget = budget
        self._length = 0

    def write(self, value: Any, newline: str) -> None:
        if len(newline) > 2 * self._budget.limits.json_depth + 1:
            raise Fault(f"toJSON writes at most {self._budget.limits.json_depth} levels of nesting")
        if isinstance(value, Summary):
            value = value.fields
        if type(value) is list and value:
            self._items(value, newline)
        elif type(value) is dict and value:
            self._entries(value, newline)
        else:
            self._put(_scalar(value))

    def _items(self, items: list[Any], newline: str) -> None:
        inner = newline + "  "
        for number, item in enumerate(items):
            self._put(("," if number else "[") + inner)
            self.write(item, inner)
        self._put(newline + "]")

    def _entries(self, entries: dict[Any, Any], newline: str) -> None:
        inner = newline + "  "
        for number, key in enumerate(sorted(entries, key=key_order)):
            name = key if type(key) is str else show(key, self._budget.limits.text)
            self._put(("," if number else "{") + inner + _quoted(name) + ": ")
            self.write(entries[key], inner)
        self._put(newline + "}")

    def _put(self, piece: str) -> None:
        self._length += len(piece)
        if self._length > self._budget.limits.text:
            raise Fault(f"the resulting string is longer than {self._budget.limits.text} characters")
        self._budget.copy_text(len(piece))
        self._budget.spend(1)
        self.pieces.append(piece)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).translate(_ESCAPED)


def _float(value: float) -> str:
    if value - value != 0:
        raise Fault("JSON has no infinities and no NaN")
    sign, digits, exponent = float_digits(value)
    if exponent in _PLAIN_EXPONENTS:
        return sign + plain_digits(digits, exponent)
    point = "." if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{point}{digits[1:]}e{'-' if exponent < 0 else '+'}{abs(exponent)}"


_SCALARS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "null",
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _float,
    str: _quoted,
    list: lambda _: "[]",
    dict: lambda _: "{}",
    Date: lambda value: f'"{layouts.write(value, layouts.JSON)}"',
    Duration: lambda value: str(value.nanoseconds),
    Named: lambda value: str(value.number),
    Zone: lambda value: _quoted(value.name),
}


def _scalar(value: Any) -> str:
    write = _SCALARS.get(type(value))
    if write is None:
        raise Fault(f"a value of kind {kind(value)} can't be written as JSON")
    return write(value)
