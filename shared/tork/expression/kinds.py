"""The kinds of values the language knows, and how values of any kind compare.

A bool is never a number here, although Python says so: every test is by exact class.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import datetime
from enum import Enum
from typing import Any

from tork.expression.dates import Date, Duration, Named, Zone
from tork.expression.faults import Fault
from tork.expression.limits import Budget

_LONG = 1024


class Summary:
    """A record with fixed fields, such as `job` in a webhook's `if`: an unknown field is an error, not nil.

    Made from a mapping with JSON names; each field answers to its capitalised name too (`taskCount`, `TaskCount`;
    `parentId`, `ParentID`). Times may be given as timezone-aware datetimes and become dates of the language.
    """

    __slots__ = ("_names", "fields")

    def __init__(self, mapping: Mapping[str, Any]) -> None:
        self.fields: dict[str, Any] = {name: _plain(value) for name, value in mapping.items()}
        self._names = {alias: name for name in self.fields for alias in (_capitalised(name), name)}

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def find(self, name: str) -> Any:
        """The field of either name, or None if there is none."""
        return self.fields.get(self._names.get(name, name))


def _capitalised(name: str) -> str:
    whole = name[:1].upper() + name[1:]
    return whole[:-2] + "ID" if whole.endswith("Id") else whole


def _plain(value: Any) -> Any:
    match value:
        case Enum():
            return value.value
        case datetime():
            return Date.from_datetime(value)
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value


_KINDS: dict[type, str] = {
    type(None): "nil",
    bool: "bool",
    int: "int",
    float: "float",
    str: "string",
    list: "array",
    dict: "map",
    Summary: "map",
    Date: "time.Time",
    Duration: "time.Duration",
    Named: "int",
    Zone: "time.Location",
}


def kind(value: object) -> str:
    """The name `type()` gives: `nil`, `bool`, `int`, `float`, `string`, `array`, `map`, ..."""
    return _KINDS.get(type(value), "unknown")


def is_number(value: object) -> bool:
    """An int or a float, never a bool."""
    return type(value) is int or type(value) is float


def as_map(value: object, user: str) -> dict[Any, Any]:
    """The entries of a map or a summary."""
    if type(value) is dict:
        return value
    if isinstance(value, Summary):
        return value.fields
    raise Fault(f"{user} needs a map, not {kind(value)}")


def as_list(value: object, user: str) -> list[Any]:
    """The value, which must be a list."""
    if type(value) is list:
        return value
    raise Fault(f"{user} needs an array, not {kind(value)}")


def as_text(value: object, user: str) -> str:
    """The value, which must be a string."""
    if type(value) is str:
        return value
    raise Fault(f"{user} needs a string, not {kind(value)}")


def as_int(value: object, user: str) -> int:
    """The value, which must be an int; a whole float is not one."""
    if type(value) is int:
        return value
    raise Fault(f"{user} needs an int, not {kind(value)}")


def as_number(value: object, user: str) -> int | float:
    """The value, which must be an int or a float."""
    if type(value) is int or type(value) is float:
        return value
    raise Fault(f"{user} needs a number, not {kind(value)}")


def as_whole(value: object, user: str) -> int:
    """The value as an int, where a float without fraction will do."""
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise Fault(f"{user} needs an int, not {kind(value)}")


def equal(left: Any, right: Any, budget: Budget) -> bool:
    """`==` of the language. Never an error; values of different kinds are unequal."""
    if type(left) is str and type(right) is str:
        if len(left) > _LONG:
            budget.spend(len(left) // _LONG)
        return left == right
    if is_number(left) and is_number(right):
        return bool(left == right)
    if type(left) is list and type(right) is list:
        budget.spend(2 + (len(left) >> 1))
        return len(left) == len(right) and all(equal(a, b, budget) for a, b in zip(left, right, strict=True))
    if type(left) is dict and type(right) is dict:
        budget.spend(2 + (len(left) >> 1))
        return left.keys() == right.keys() and all(equal(item, right[key], budget) for key, item in left.items())
    return type(left) is type(right) and bool(left == right)


def contains(elements: list[Any], wanted: Any, budget: Budget) -> bool:
    """Whether an element of the list equals the wanted value."""
    budget.spend(len(elements) >> 1)
    return any(equal(element, wanted, budget) for element in elements)


def identity(value: Any, budget: Budget) -> Hashable:
    """Something hashable that is equal for equal values only, for finding duplicates without comparing all pairs."""
    if type(value) is list:
        budget.spend(8 + len(value))
        return ("array", tuple(identity(item, budget) for item in value))
    if type(value) is dict:
        budget.spend(8 + len(value))
        return ("map", frozenset((key, identity(item, budget)) for key, item in value.items()))
    if is_number(value):
        return ("number", object() if value != value else value)
    if isinstance(value, Summary):
        return ("map", id(value))
    return (kind(value), value)


_ORDERED: dict[type, str] = {int: "number", float: "number", str: "string", Date: "date", Duration: "duration"}


def check_ordered(left: Any, right: Any) -> None:
    """Both must be numbers, strings, dates or durations; everything else has no order."""
    order = _ORDERED.get(type(left))
    if order is None or order != _ORDERED.get(type(right)):
        raise Fault(f"{kind(left)} and {kind(right)} can't be ordered")


def sort_values(pairs: list[tuple[Any, Any]], order: object, budget: Budget) -> list[Any]:
    """The second of each pair, stably in the order of the first: `asc` or `desc`."""
    if order not in {"asc", "desc"} or type(order) is not str:
        raise Fault('the order must be "asc" or "desc"')
    if len(pairs) > 1:
        for key, _ in pairs:
            check_ordered(pairs[0][0], key)
        characters = sum(len(key) for key, _ in pairs) if type(pairs[0][0]) is str else 0
        budget.spend((len(pairs) + (characters >> 8) * len(pairs).bit_length()) >> 1)
    return [value for _, value in sorted(pairs, key=lambda pair: pair[0], reverse=order == "desc")]
