"""The operators, on evaluated operands.

Numbers keep to 64 bits and floats to IEEE: dividing by zero or overflowing gives an infinity or NaN, never an exception.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any

from tork.expression import tree
from tork.expression.access import has_key
from tork.expression.dates import Date, Duration
from tork.expression.faults import Fault
from tork.expression.kinds import Summary, as_text, as_whole, check_ordered, contains, equal, is_number, kind
from tork.expression.lexer import MAX_INT, MIN_INT
from tork.expression.limits import Budget
from tork.expression.regex import search

Binary = Callable[[Any, Any, Budget], Any]


def checked(value: int) -> int:
    """The value, which must fit in 64 bits."""
    if MIN_INT <= value <= MAX_INT:
        return value
    raise Fault("the result does not fit in an integer of 64 bits")


def _bad(operator: str, left: object, right: object) -> Fault:
    return Fault(f"{operator} can't be used on {kind(left)} and {kind(right)}")


def add(left: Any, right: Any, budget: Budget) -> Any:
    """`+`: numbers, strings, a date or duration and a duration."""
    if type(left) is int and type(right) is int:
        return checked(left + right)
    if is_number(left) and is_number(right):
        return left + right
    if type(left) is str and type(right) is str:
        budget.make_text(len(left) + len(right))
        return left + right
    if type(right) is Duration and type(left) in {Date, Duration}:
        return left.plus(right)
    if type(left) is Duration and type(right) is Date:
        return right.plus(left)
    raise _bad("+", left, right)


def subtract(left: Any, right: Any, _budget: Budget) -> Any:
    """`-`: numbers, dates, durations."""
    if type(left) is int and type(right) is int:
        return checked(left - right)
    if is_number(left) and is_number(right):
        return left - right
    if type(left) is Date and type(right) is Date:
        return left.since(right)
    if type(right) is Duration and type(left) in {Date, Duration}:
        return left.plus(right.times(-1))
    raise _bad("-", left, right)


def multiply(left: Any, right: Any, _budget: Budget) -> Any:
    """`*`: numbers, a duration and an int."""
    if type(left) is int and type(right) is int:
        return checked(left * right)
    if is_number(left) and is_number(right):
        return left * right
    if type(left) is Duration and type(right) is int:
        return left.times(right)
    if type(left) is int and type(right) is Duration:
        return right.times(left)
    raise _bad("*", left, right)


def divide(left: Any, right: Any, _budget: Budget) -> float:
    """`/`: numbers, always a float."""
    if not (is_number(left) and is_number(right)):
        raise _bad("/", left, right)
    dividend, divisor = float(left), float(right)
    if divisor:
        return dividend / divisor
    if not dividend or math.isnan(dividend):
        return math.nan
    return math.copysign(math.inf, dividend) * math.copysign(1.0, divisor)


def remainder(left: Any, right: Any, _budget: Budget) -> int:
    """`%`: ints, with the sign of the left one."""
    if not (type(left) is int and type(right) is int):
        raise Fault(f"% needs two ints, not {kind(left)} and {kind(right)}: convert floats with int()")
    if right == 0:
        raise Fault("% by zero")
    size = abs(left) % abs(right)
    return -size if left < 0 else size


def power(left: Any, right: Any, _budget: Budget) -> float:
    """`**` and `^`: numbers, always a float."""
    if not (is_number(left) and is_number(right)):
        raise _bad("**", left, right)
    base, exponent = float(left), float(right)
    negative = math.copysign(1.0, base) < 0 and exponent.is_integer() and exponent % 2 == 1
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if negative else math.inf
    except ValueError:
        if base:
            return math.nan
        return -math.inf if negative else math.inf


def span(left: Any, right: Any, budget: Budget) -> list[int]:
    """`..`: the ints from the left to the right one, both included."""
    start, stop = as_whole(left, "a range"), as_whole(right, "a range")
    budget.make_elements(max(0, stop - start + 1))
    return list(range(start, stop + 1))


def is_in(left: Any, right: Any, budget: Budget) -> bool:
    """`in`: an element of a list, or a key of a map."""
    if right is None:
        return False
    if type(right) is list:
        return contains(right, left, budget)
    if isinstance(right, (dict, Summary)):
        if type(left) is list or type(left) is dict:
            raise Fault(f"{kind(left)} can't be a key of a map")
        return has_key(right, left) if type(right) is dict else left in right
    raise Fault(f"in needs an array or a map on its right, not {kind(right)}")


def _on_strings(word: str, test: Callable[[str, str, Budget], bool]) -> Binary:
    def operator(left: Any, right: Any, budget: Budget) -> bool:
        if left is None:
            return False
        text, pattern = as_text(left, word), as_text(right, word)
        budget.spend(len(text) >> 8)
        return test(text, pattern, budget)

    return operator


def _ordered(test: Callable[[Any, Any], bool]) -> Binary:
    def operator(left: Any, right: Any, budget: Budget) -> bool:
        check_ordered(left, right)
        if type(left) is str:
            budget.spend(len(left) >> 10)
        return test(left, right)

    return operator


BINARY: dict[type[ast.AST], Binary] = {
    ast.Add: add,
    ast.Sub: subtract,
    ast.Mult: multiply,
    ast.Div: divide,
    ast.Mod: remainder,
    ast.Pow: power,
    tree.Range: span,
    ast.Eq: equal,
    ast.NotEq: lambda left, right, budget: not equal(left, right, budget),
    ast.In: is_in,
    ast.Lt: _ordered(lambda left, right: bool(left < right)),
    ast.LtE: _ordered(lambda left, right: bool(left <= right)),
    ast.Gt: _ordered(lambda left, right: bool(left > right)),
    ast.GtE: _ordered(lambda left, right: bool(left >= right)),
    tree.Contains: _on_strings("contains", lambda text, part, _: part in text),
    tree.StartsWith: _on_strings("startsWith", lambda text, part, _: text.startswith(part)),
    tree.EndsWith: _on_strings("endsWith", lambda text, part, _: text.endswith(part)),
    tree.Matches: _on_strings("matches", search),
}


def negate(value: Any) -> Any:
    """Unary `-`."""
    if type(value) is int:
        return checked(-value)
    if type(value) is float:
        return -value
    raise Fault(f"- needs a number, not {kind(value)}")


def keep(value: Any) -> Any:
    """Unary `+`."""
    if is_number(value):
        return value
    raise Fault(f"+ needs a number, not {kind(value)}")


def invert(value: Any) -> bool:
    """`not` and `!`."""
    return not truth(value, "not")


def truth(value: Any, user: str) -> bool:
    """The value, which must be a bool: nothing else is true or false."""
    if value is True or value is False:
        return bool(value)
    raise Fault(f"{user} needs a bool, not {kind(value)}")


UNARY: dict[type[ast.AST], Callable[[Any], Any]] = {ast.USub: negate, ast.UAdd: keep, ast.Not: invert}
