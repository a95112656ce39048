"""Reading a part of a value: a map's entry, a list's element, a slice.

Names are data and never Python attributes. Nothing here knows the "missing keys are empty" rule of the string maps:
that is the evaluator's, who knows which maps those are.
"""

from __future__ import annotations

from typing import Any

from tork.expression.faults import Fault
from tork.expression.kinds import Summary, as_whole, kind
from tork.expression.limits import Budget

MISSING: Any = object()
# what `entry` gives for an absent key


def entry(value: Any, key: str) -> Any:
    """The map's entry, or MISSING; other kinds have no named parts."""
    if type(value) is dict:
        return value.get(key, MISSING)
    if isinstance(value, Summary):
        if key not in value:
            raise Fault(f"there is no field {key}" if key.isidentifier() else "there is no such field")
        return value.find(key)
    raise Fault(f"{kind(value)} has no property {key}")


def index(value: Any, key: Any) -> Any:
    """`value[key]`, or MISSING for an absent key of a map."""
    if type(value) is list:
        position = as_whole(key, "the index of an array")
        if not -len(value) <= position < len(value):
            raise Fault(f"index {position} is out of range, the array has {len(value)} elements")
        return value[position]
    if isinstance(value, (dict, Summary)):
        return entry(value, key) if type(key) is str else _computed(value, key)
    if type(value) is str:
        raise Fault("a string has no elements, use a slice such as s[0:1]")
    raise Fault(f"{kind(value)} has no elements")


def _computed(value: Any, key: Any) -> Any:
    """The entry under a number, bool or nil, or MISSING: only maps of groupBy and fromPairs have such keys."""
    if type(value) is dict and type(key) in {int, float, bool, type(None)}:
        if has_key(value, key):
            return value[key]
        if type(next(iter(value), "")) is not str:
            return MISSING
    raise Fault(f"{kind(key)} is not a key of this map")


def has_key(value: dict[Any, Any], key: Any) -> bool:
    """Whether the map has the key. Python's `1` and `True` are one key, ours are two: a map with bools as keys has
    at most three, see `lists.check_keys`."""
    if key not in value:
        return False
    bools = len(value) <= 3 and any(type(known) is bool for known in value)
    return type(key) is str or key is None or bools == (type(key) is bool)


def get(value: Any, key: Any) -> Any:
    """`get(value, key)`: nil where there is nothing, an error where the kinds don't fit."""
    if value is None:
        return None
    if type(value) is list:
        position = as_whole(key, "the index of an array")
        return value[position] if -len(value) <= position < len(value) else None
    if type(value) is dict and type(key) is str:
        return value.get(key)
    if isinstance(value, Summary) and type(key) is str:
        return value.find(key)
    if type(value) is dict:
        found = _computed(value, key)
        return None if found is MISSING else found
    raise Fault(f"{kind(key)} is not a key of {kind(value)}")


def cut(value: Any, lower: Any, upper: Any, budget: Budget) -> Any:
    """`value[lower:upper]`, bounds clamped; MISSING bounds are the ends."""
    start = 0 if lower is MISSING else as_whole(lower, "a slice bound")
    stop = None if upper is MISSING else as_whole(upper, "a slice bound")
    if type(value) is list:
        part = value[start:stop]
        budget.make_elements(len(part))
        return part
    if type(value) is str:
        text = value[start:stop]
        budget.copy_text(len(text))
        return text
    raise Fault(f"{kind(value)} can't be sliced")
