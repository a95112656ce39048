"""Builtins on numbers, bits and chance."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from typing import Any

from tork.expression.faults import Fault
from tork.expression.kinds import as_int, as_number, kind
from tork.expression.limits import Budget
from tork.expression.operators import checked
from tork.expression.signature import Function, fixed, metered, variadic

Number = int | float
_WORD = 2**64
_SIGN = 2**63


def _numbers(budget: Budget, user: str, values: tuple[Any, ...] | list[Any]) -> list[Number]:
    """All numbers of the values and of the lists among them, in order."""
    found: list[Number] = []
    for value in values:
        if type(value) is list:
            budget.make_elements(len(value))
            found.extend(_numbers(budget, user, value))
        else:
            found.append(as_number(value, user))
    return found


def _max(budget: Budget, *values: Any) -> Number | None:
    return max(_numbers(budget, "max", values), default=None)


def _min(budget: Budget, *values: Any) -> Number | None:
    return min(_numbers(budget, "min", values), default=None)


def _mean(budget: Budget, *values: Any) -> float:
    numbers = _numbers(budget, "mean", values)
    return total(numbers) / len(numbers) if numbers else 0.0


def _median(budget: Budget, *values: Any) -> float:
    numbers = sorted(_numbers(budget, "median", values))
    if not numbers:
        return 0.0
    half = len(numbers) // 2
    if len(numbers) % 2:
        return float(numbers[half])
    return (float(numbers[half - 1]) + float(numbers[half])) / 2


def total(numbers: list[Any]) -> Number:
    """The sum: an int unless a float is among the numbers."""
    result: Number = 0
    for number in numbers:
        result += as_number(number, "sum")
    return checked(result) if type(result) is int else result


def _abs(value: Any) -> Number:
    number = abs(as_number(value, "abs"))
    return checked(number) if type(number) is int else number


def _rounding(name: str, to_whole: Callable[[float], float]) -> Callable[[Any], float]:
    def function(value: Any) -> float:
        number = float(as_number(value, name))
        return math.copysign(to_whole(number), number) if math.isfinite(number) else number

    return function


def _half_away(number: float) -> float:
    whole = math.trunc(number)
    return float(whole if abs(number - whole) < 0.5 else whole + math.copysign(1.0, number))


def _bits(name: str, operation: Callable[[int, int], int]) -> Callable[[Any, Any], int]:
    return lambda left, right: operation(as_int(left, name), as_int(right, name))


def _bitnot(value: Any) -> int:
    return ~as_int(value, "bitnot")


def _shift(name: str, operation: Callable[[int, int], int]) -> Callable[[Any, Any], int]:
    def function(value: Any, places: Any) -> int:
        count = as_int(places, name)
        if not 0 <= count < 64:
            raise Fault(f"{name} shifts by 0 to 63 places")
        return (operation(as_int(value, name), count) + _SIGN) % _WORD - _SIGN

    return function


def _sequence(budget: Budget, start: Any, stop: Any) -> list[int]:
    first, end = as_int(start, "sequence"), as_int(stop, "sequence")
    budget.make_elements(max(0, end - first))
    return list(range(first, end))


def _random_int(bound: Any = _SIGN) -> int:
    if type(bound) is not int or bound <= 0:
        raise Fault(f"randomInt needs an int greater than 0, not {kind(bound)}")
    return secrets.randbelow(bound)


FUNCTIONS: dict[str, Function] = {
    "max": variadic(_max, 1),
    "min": variadic(_min, 1),
    "mean": variadic(_mean, 1),
    "median": variadic(_median, 1),
    "abs": fixed(_abs, 1),
    "ceil": fixed(_rounding("ceil", math.ceil), 1),
    "floor": fixed(_rounding("floor", math.floor), 1),
    "round": fixed(_rounding("round", _half_away), 1),
    "bitand": fixed(_bits("bitand", lambda a, b: a & b), 2),
    "bitor": fixed(_bits("bitor", lambda a, b: a | b), 2),
    "bitxor": fixed(_bits("bitxor", lambda a, b: a ^ b), 2),
    "bitnand": fixed(_bits("bitnand", lambda a, b: a & ~b), 2),
    "bitnot": fixed(_bitnot, 1),
    "bitshl": fixed(_shift("bitshl", lambda value, count: value << count), 2),
    "bitshr": fixed(_shift("bitshr", lambda value, count: value >> count), 2),
    "bitushr": fixed(_shift("bitushr", lambda value, count: value % _WORD >> count), 2),
    "sequence": metered(_sequence, 2),
    "randomInt": fixed(_random_int, 0, 1),
}
