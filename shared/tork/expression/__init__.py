"""The text of an expression or template and a context go in; a value or a text comes out, or an `ExpressionError`."""

from __future__ import annotations

from tork.expression.dates import Date, Duration
from tork.expression.kinds import Summary
from tork.expression.limits import Limits
from tork.expression.references import references
from tork.expression.template import check, evaluate, render

__all__ = ["Date", "Duration", "Limits", "Summary", "check", "evaluate", "references", "render"]
