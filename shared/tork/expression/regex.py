"""`matches`: RE2 in its own engine, which takes linear time whatever the pattern.

The binding is imported at the first use, because most expressions match nothing.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from tork.expression.faults import Fault
from tork.expression.limits import Budget

_MAX_MEMORY = 1024 * 1024
# bytes one compiled pattern may take
_COMPILING = 100
# steps charged for each different pattern of an evaluation, on top of its size


_SEARCHING = 8
# steps charged for each search, on top of the text's length times the pattern's size


def search(text: str, pattern: str, budget: Budget) -> bool:
    """Whether the pattern matches anywhere in the text. Raises `Fault`."""
    if len(pattern) > budget.limits.pattern:
        raise Fault(f"the pattern is longer than {budget.limits.pattern} characters")
    if not (_encodable(pattern) and _encodable(text)):
        raise Fault("matches needs text that can be written in UTF-8")
    compiled = budget.patterns.get(pattern)
    if compiled is None:
        compiled = budget.patterns[pattern] = _compiled(pattern)
        budget.spend(_COMPILING + compiled.programsize)
    budget.spend(_SEARCHING + (len(text) * compiled.programsize >> 7))
    return compiled.search(text) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    import re2  # 10 ms that only expressions with `matches` pay

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _MAX_MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise Fault(f"the pattern is not valid: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Only what is wrong: the engine quotes the pattern after a colon, and a pattern may come from a secret."""
    text = error.args[0] if error.args else ""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return str(text).split(":", 1)[0]


def _encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
