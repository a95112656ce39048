"""What one evaluation may cost, and the meter that counts it.

Expressions come from users and run inside the coordinator, so every cost is counted and none is timed: the same
expression over the same context always succeeds or always fails. Work done in C (searching a string, copying a list)
is charged as steps in proportion, so that a step stays below a few microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tork.expression.faults import Fault

_MEBI = 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Limits:
    """The bounds of parsing and evaluating. Compared by identity, which keeps them cheap as a cache key."""

    length: int = 64 * 1024
    # characters of one expression
    depth: int = 100
    # levels of the syntax tree
    nodes: int = 10_000
    # nodes of the syntax tree
    steps: int = 1_000_000
    # node visits of one evaluation, bulk work included
    elements: int = 1_000_000
    # list elements that one evaluation may make
    text: int = _MEBI
    # characters of one string made by `+`, repeat, replace, join, string or toJSON
    total_text: int = 64 * _MEBI
    # characters of all strings made by one evaluation
    rendered: int = 10 * _MEBI
    # characters of a rendered template
    repeat: int = 1_000_000
    # largest count of repeat()
    pattern: int = 1_000
    # characters of a regular expression
    json_text: int = 10 * _MEBI
    # characters given to fromJSON()
    json_depth: int = 100
    # nesting of what fromJSON() reads and toJSON() writes
    layout: int = 100
    # characters of a date layout
    result_values: int = 5_000_000
    # values in a result, shared ones counted wherever they appear
    result_depth: int = 200
    # nesting of a result


DEFAULT_LIMITS = Limits()


class Budget:
    """What is left for one evaluation. Every method raises `Fault` when the expression asks for more."""

    __slots__ = ("elements", "limits", "patterns", "steps", "text")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.steps = limits.steps
        self.elements = limits.elements
        self.text = limits.total_text
        self.patterns: dict[str, Any] = {}
        # regular expressions compiled so far

    def spend(self, steps: int) -> None:
        """Charge work that is done outside the node visits."""
        self.steps -= steps
        if self.steps < 0:
            raise Fault(f"the evaluation takes more than {self.limits.steps} steps")

    def make_elements(self, count: int) -> None:
        """Charge list elements; call it before they are made where their number is known."""
        self.elements -= count
        if self.elements < 0:
            raise Fault(f"the evaluation makes more than {self.limits.elements} list elements")

    def copy_text(self, length: int) -> None:
        """Charge a string no longer than the one it came from."""
        self.text -= length
        if self.text < 0:
            raise Fault(f"the evaluation makes more than {self.limits.total_text} characters of text")

    def make_text(self, length: int) -> None:
        """Charge a string that may have grown; call it before the string is made."""
        if length > self.limits.text:
            raise Fault(f"the resulting string is longer than {self.limits.text} characters")
        self.copy_text(length)
