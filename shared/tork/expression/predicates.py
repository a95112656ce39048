"""Builtins that evaluate an expression for each element of a list.

Each gets a `Run`: the elements, and how to evaluate the predicate on one. Without a predicate (`sum(xs)`, `count(xs)`)
evaluating gives the element itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tork.expression.faults import Fault
from tork.expression.kinds import sort_values
from tork.expression.limits import Budget
from tork.expression.lists import check_keys
from tork.expression.numeric import total

NOTHING: Any = object()
# stands for an argument that was left out


@dataclass(frozen=True, slots=True)
class Run:
    """One call of a predicate builtin."""

    elements: list[Any]
    value: Callable[[Any, int, Any], Any]
    # evaluates the predicate with #, #index and #acc
    test: Callable[[Any], bool]
    # evaluates the predicate with #, and insists on a bool
    extra: Any
    budget: Budget


@dataclass(frozen=True, slots=True)
class Shape:
    """A predicate builtin: its arguments are a list, a predicate and perhaps one more."""

    call: Callable[[Run], Any]
    least: int = 2
    most: int = 2


def _all(run: Run) -> bool:
    return all(run.test(element) for element in run.elements)


def _any(run: Run) -> bool:
    return any(run.test(element) for element in run.elements)


def _none(run: Run) -> bool:
    return not _any(run)


def _one(run: Run) -> bool:
    return _count(run) == 1


def _count(run: Run) -> int:
    return sum(run.test(element) for element in run.elements)


def _filter(run: Run) -> list[Any]:
    found = [element for element in run.elements if run.test(element)]
    run.budget.make_elements(len(found))
    return found


def _map(run: Run) -> list[Any]:
    run.budget.make_elements(len(run.elements))
    return [run.value(element, number, None) for number, element in enumerate(run.elements)]


def _find_index(run: Run) -> int | None:
    return next((number for number, element in enumerate(run.elements) if run.test(element)), None)


def _find_last_index(run: Run) -> int | None:
    positions = range(len(run.elements) - 1, -1, -1)
    return next((number for number in positions if run.test(run.elements[number])), None)


def _find(run: Run) -> Any:
    position = _find_index(run)
    return None if position is None else run.elements[position]


def _find_last(run: Run) -> Any:
    position = _find_last_index(run)
    return None if position is None else run.elements[position]


def _group_by(run: Run) -> dict[Any, list[Any]]:
    keys = [run.value(element, 0, None) for element in run.elements]
    check_keys(keys)
    run.budget.make_elements(len(keys))
    groups: dict[Any, list[Any]] = {}
    for key, element in zip(keys, run.elements, strict=True):
        groups.setdefault(key, []).append(element)
    return groups


def _sort_by(run: Run) -> list[Any]:
    pairs = [(run.value(element, 0, None), element) for element in run.elements]
    run.budget.make_elements(len(pairs))
    return sort_values(pairs, "asc" if run.extra is NOTHING else run.extra, run.budget)


def _sum(run: Run) -> int | float:
    return total([run.value(element, 0, None) for element in run.elements])


def _reduce(run: Run) -> Any:
    start = 0
    accumulator = run.extra
    if accumulator is NOTHING:
        if not run.elements:
            raise Fault("reduce of an empty array needs an initial value")
        start, accumulator = 1, run.elements[0]
    for number in range(start, len(run.elements)):
        accumulator = run.value(run.elements[number], number, accumulator)
    return accumulator


PREDICATES: dict[str, Shape] = {
    "all": Shape(_all),
    "any": Shape(_any),
    "none": Shape(_none),
    "one": Shape(_one),
    "count": Shape(_count, least=1),
    "filter": Shape(_filter),
    "map": Shape(_map),
    "find": Shape(_find),
    "findLast": Shape(_find_last),
    "findIndex": Shape(_find_index),
    "findLastIndex": Shape(_find_last_index),
    "groupBy": Shape(_group_by),
    "sortBy": Shape(_sort_by, most=3),
    "sum": Shape(_sum, least=1),
    "reduce": Shape(_reduce, most=3),
}
