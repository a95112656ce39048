"""Walking over tokens, with a bound on how deep the walker may recurse.

`_nesting` counts what users see as nesting (brackets, signs, branches) and `_entries` every operand that is entered, so
that no text makes the parser reach Python's recursion limit.
"""

from __future__ import annotations

from tork.expression.faults import Fault
from tork.expression.lexer import Kind, Token
from tork.expression.limits import Limits

_SHOWN = 20


class Cursor:
    """A place in a list of tokens; the parser is one."""

    def __init__(self, tokens: list[Token], limits: Limits) -> None:
        self._tokens = tokens
        self._next = 0
        self._limits = limits
        self._nesting = 0
        self._entries = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        if token.kind is not Kind.END:
            self._next += 1
        return token

    def _ended(self) -> bool:
        return self._tokens[self._next].kind is Kind.END

    def _at(self, *operators: str) -> bool:
        token = self._tokens[self._next]
        return token.kind is Kind.OPERATOR and token.text in operators

    def _accept(self, operator: str) -> bool:
        if self._at(operator):
            self._next += 1
            return True
        return False

    def _expect(self, operator: str) -> None:
        if not self._accept(operator):
            raise self._unexpected(operator)

    def _unexpected(self, wanted: str) -> Fault:
        token = self._token
        shown = token.text if len(token.text) <= _SHOWN else token.text[:_SHOWN] + "…"
        found = "end" if token.kind is Kind.END else "".join(mark for mark in shown if mark.isprintable())
        return Fault(f"unexpected {found}, where {wanted} would be right", token.position)

    def _descend(self) -> None:
        self._nesting += 1
        self._enter()
        if self._nesting > self._limits.depth:
            raise self._too_deep()

    def _ascend(self) -> None:
        self._nesting -= 1
        self._leave()

    def _enter(self) -> None:
        self._entries += 1
        if self._entries > 3 * self._limits.depth:
            raise self._too_deep()

    def _leave(self) -> None:
        self._entries -= 1

    def _too_deep(self) -> Fault:
        return Fault(f"the expression is nested more than {self._limits.depth} levels deep", self._token.position)
