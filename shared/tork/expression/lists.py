"""Builtins on lists and maps. Results are always new: what came in is never changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tork.expression.faults import Fault
from tork.expression.kinds import as_int, as_list, as_map, identity, kind, sort_values
from tork.expression.limits import Budget
from tork.expression.signature import Function, fixed, metered, variadic

_KEYS: frozenset[type] = frozenset({str, int, float, bool, type(None)})


def _concat(budget: Budget, *lists: Any) -> list[Any]:
    result: list[Any] = []
    for elements in lists:
        budget.make_elements(len(as_list(elements, "concat")))
        result.extend(elements)
    return result


def _flatten(budget: Budget, elements: Any) -> list[Any]:
    result: list[Any] = []
    pending: list[Iterator[Any]] = [iter(as_list(elements, "flatten"))]
    while pending:
        for element in pending[-1]:
            budget.make_elements(1)
            if type(element) is list:
                pending.append(iter(element))
                break
            result.append(element)
        else:
            pending.pop()
    return result


def _uniq(budget: Budget, elements: Any) -> list[Any]:
    values = as_list(elements, "uniq")
    budget.spend(len(values) >> 1)
    first: dict[Any, Any] = {}
    for value in values:
        first.setdefault(identity(value, budget), value)
    budget.make_elements(len(first))
    return list(first.values())


def _reverse(elements: Any) -> list[Any]:
    return as_list(elements, "reverse")[::-1]


def _take(elements: Any, count: Any) -> list[Any]:
    values, number = as_list(elements, "take"), as_int(count, "take")
    if number < 0:
        raise Fault("take needs a count of 0 or more")
    return values[:number]


def _first(elements: Any) -> Any:
    values = as_list(elements, "first")
    return values[0] if values else None


def _last(elements: Any) -> Any:
    values = as_list(elements, "last")
    return values[-1] if values else None


def _sort(budget: Budget, elements: Any, order: Any = "asc") -> list[Any]:
    values = as_list(elements, "sort")
    budget.make_elements(len(values))
    return sort_values([(value, value) for value in values], order, budget)


def _keys(entries: Any) -> list[Any]:
    return list(as_map(entries, "keys"))


def _values(entries: Any) -> list[Any]:
    return list(as_map(entries, "values").values())


def _to_pairs(budget: Budget, entries: Any) -> list[Any]:
    mapping = as_map(entries, "toPairs")
    budget.make_elements(3 * len(mapping))
    return [[key, value] for key, value in mapping.items()]


def _from_pairs(budget: Budget, pairs: Any) -> dict[Any, Any]:
    values = as_list(pairs, "fromPairs")
    if any(type(pair) is not list or len(pair) != 2 for pair in values):
        raise Fault("fromPairs needs an array of arrays with a key and a value each")
    check_keys([pair[0] for pair in values])
    budget.make_elements(len(values))
    return dict(values)


def check_keys(keys: list[Any]) -> None:
    """Keys made at run time must be strings, numbers, bools or nil; Python would take `true` and `1` for the same."""
    for key in keys:
        if type(key) not in _KEYS:
            raise Fault(f"{kind(key)} can't be a key of a map")
    types = set(map(type, keys))
    if bool in types and not types <= {bool, type(None)}:
        raise Fault("a map can't have both bools and other values as keys")


FUNCTIONS: dict[str, Function] = {
    "concat": variadic(_concat, 1),
    "flatten": metered(_flatten, 1),
    "uniq": metered(_uniq, 1),
    "reverse": fixed(_reverse, 1),
    "take": fixed(_take, 2),
    "first": fixed(_first, 1, instant=True),
    "last": fixed(_last, 1, instant=True),
    "sort": metered(_sort, 1, 2),
    "keys": fixed(_keys, 1),
    "values": fixed(_values, 1),
    "toPairs": metered(_to_pairs, 1),
    "fromPairs": metered(_from_pairs, 1),
}
