"""The entry points: single expressions and templates.

A template is cut into literal text and groups once and kept; a group's result is text and is never looked at again.
Caches are bounded by the number and the length of what they keep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from tork.errors import ExpressionError
from tork.expression.evaluate import run
from tork.expression.faults import Fault, explain
from tork.expression.limits import DEFAULT_LIMITS, Limits
from tork.expression.parser import parse
from tork.expression.render import show
from tork.expression.tree import Expression

_BLANK = " \t\n\f\r"
_SHORT = 500
_KEPT_SHORT, _KEPT_LONG = 4096, 64

_Result = TypeVar("_Result")
Part = str | Expression


def evaluate(text: str, context: Mapping[str, Any], *, limits: Limits = DEFAULT_LIMITS) -> Any:
    """The value of the first `{{ }}` group of the text, or of the whole text where it has none.

    Plain data in and out (dates and durations come out as `Date` and `Duration`); the context is not changed.
    Raises `ExpressionError`.
    """
    expression = _single(text, limits)
    try:
        return run(expression, context, limits)
    except Fault as fault:
        raise explain(fault, expression.text) from fault


def render(template: str, context: Mapping[str, Any], *, limits: Limits = DEFAULT_LIMITS) -> str:
    """The template with every group replaced by its value as text. Raises `ExpressionError` for the first bad group."""
    if "{{" not in template:
        return template
    written: list[str] = []
    left = limits.rendered
    for part in _parts(template, limits):
        text = part if isinstance(part, str) else _rendered(part, context, limits, left)
        left -= len(text)
        if left < 0:
            raise ExpressionError(f"the rendered template is longer than {limits.rendered} characters")
        written.append(text)
    return "".join(written)


def check(text: str, *, limits: Limits = DEFAULT_LIMITS) -> None:
    """Check the syntax of what `evaluate` would evaluate; unknown names are fine, and so is an empty text.

    Raises `ExpressionError`.
    """
    if text:
        _single(text, limits)


def expressions(text: str, *, single: bool) -> list[Expression]:
    """What a template (or a single-expression text) would evaluate. Raises `ExpressionError`."""
    if single:
        return [_single(text, DEFAULT_LIMITS)]
    return [part for part in _parts(text, DEFAULT_LIMITS) if not isinstance(part, str)]


def groups(text: str) -> list[tuple[int, int, str]]:
    r"""Start, end and content of every group: the matches of `{{\s*(.+?)\s*}}`, found in linear time."""
    found: list[tuple[int, int, str]] = []
    scanner = _Scanner(text)
    start = text.find("{{")
    while start >= 0:
        group = scanner.group(start)
        if group is not None:
            found.append((start, *group))
        start = text.find("{{", group[0] if group else start + 1)
    return found


class _Scanner:
    """Finds the end of a group; remembers what it found ahead, so that many starts before one end stay cheap."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._close = -2
        self._blank_from = 0
        self._newline = -2

    def group(self, start: int) -> tuple[int, str] | None:
        text = self._text
        content = start + 2
        while content < len(text) and text[content] in _BLANK:
            content += 1
        self._look_ahead(content)
        if self._close >= 0:
            end = max(content + 1, self._blank_from)
            if not content <= self._newline < end:
                return self._close + 2, text[content:end]
        if text.startswith("}}", content):
            blank = text[start + 2 : content].replace("\n", "")
            if blank:
                return content + 2, blank[-1]
        return None

    def _look_ahead(self, content: int) -> None:
        text = self._text
        if self._close != -1 and self._close < content + 1:
            self._close = self._blank_from = text.find("}}", content + 1)
            while self._blank_from > 0 and text[self._blank_from - 1] in _BLANK:
                self._blank_from -= 1
        if self._newline != -1 and self._newline < content:
            self._newline = text.find("\n", content)


def _rendered(expression: Expression, context: Mapping[str, Any], limits: Limits, left: int) -> str:
    try:
        value = run(expression, context, limits)
        return value if type(value) is str else show(value, left)
    except RecursionError as error:
        raise ExpressionError("the value is nested too deeply to be shown") from error
    except Fault as fault:
        raise explain(fault, expression.text) from fault


def _single_uncached(text: str, limits: Limits) -> Expression:
    found = next(iter(groups(text)), None) if "{{" in text else None
    return _parsed(found[2] if found else text, limits)


def _parts_uncached(template: str, limits: Limits) -> tuple[Part, ...]:
    if len(template) > limits.rendered:
        raise ExpressionError(f"the template is longer than {limits.rendered} characters")
    parts: list[Part] = []
    end = 0
    for start, stop, content in groups(template):
        parts += [template[end:start], _parsed(content, limits)]
        end = stop
    parts.append(template[end:])
    return tuple(part for part in parts if part != "")


def _parsed(text: str, limits: Limits) -> Expression:
    try:
        return parse(text, limits)
    except Fault as fault:
        raise explain(fault, text) from fault
    except (RecursionError, MemoryError) as error:
        raise ExpressionError("the expression is nested too deeply") from error


def _cached(work: Callable[[str, Limits], _Result]) -> Callable[[str, Limits], _Result]:
    """Keep many results for short texts and a few for long ones: a tree may take a hundred times its text."""
    short = lru_cache(_KEPT_SHORT)(work)
    long = lru_cache(_KEPT_LONG)(work)
    return lambda text, limits: short(text, limits) if len(text) <= _SHORT else long(text, limits)


_single = _cached(_single_uncached)
_parts = _cached(_parts_uncached)
