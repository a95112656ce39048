"""All builtins whose arguments are evaluated first, by name."""

from __future__ import annotations

from tork.expression import conversions, lists, numeric, texts
from tork.expression.signature import Function

FUNCTIONS: dict[str, Function] = texts.FUNCTIONS | numeric.FUNCTIONS | lists.FUNCTIONS | conversions.FUNCTIONS
