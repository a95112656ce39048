"""What leaves an evaluation must be small enough to handle: no deep nesting, no giant made of shared parts."""

from __future__ import annotations

from typing import Any

from tork.expression.dates import Date, Duration, Named, Zone
from tork.expression.faults import Fault
from tork.expression.kinds import Summary, kind
from tork.expression.limits import Limits

_LEAVES: frozenset[type] = frozenset({str, bool, int, float, type(None), Date, Duration, Named, Zone})


def check_result(value: Any, limits: Limits) -> Any:
    """The value, summaries as maps. Raises `Fault` where it is too large, too deep or not of the language."""
    if type(value) in _LEAVES:
        return value
    if isinstance(value, Summary):
        value = value.fields
    pending: list[tuple[Any, int]] = [(value, 1)]
    values, characters = limits.result_values, limits.rendered
    while pending:
        container, depth = pending.pop()
        if depth > limits.result_depth:
            raise Fault(f"the result is nested more than {limits.result_depth} levels deep")
        items = _items(container)
        values -= len(items) + 1
        if values < 0:
            raise Fault(f"the result has more than {limits.result_values} values")
        for item in items:
            if type(item) is str:
                characters -= len(item)
            elif type(item) not in _LEAVES:
                pending.append((item, depth + 1))
        if characters < 0:
            raise Fault(f"the result has more than {limits.rendered} characters")
    return value


def _items(container: Any) -> list[Any]:
    if type(container) is list:
        return container
    if type(container) is dict:
        return [*container.values(), *container]
    raise Fault(f"the result has a value of kind {kind(container)}")
