"""From the text of an expression to its tokens (section "lexical rules" of the language).

Every token knows its place. White space and comments are dropped here and mean nothing later.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

from tork.expression.faults import Fault

MAX_INT = 2**63 - 1
MIN_INT = -(2**63)
OPERATOR_WORDS = frozenset(
    {"not", "in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let", "if", "else"}
)


class Kind(Enum):
    """What a token is; brackets and punctuation are operators too."""

    NUMBER = auto()
    STRING = auto()
    NAME = auto()
    OPERATOR = auto()
    POINTER = auto()
    END = auto()


class Token(NamedTuple):
    """One token: `text` as written, `value` what a literal stands for."""

    kind: Kind
    text: str
    position: int
    value: str | int | float | None = None


_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*|/\*(?s:.*?)\*/)
  | (?P<number>0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+
      |(?:[0-9][0-9_]*(?:\.(?!\.)[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9][0-9_]*)?)
  | (?P<word>(?:[^\W\d]|\$)(?:\w|\$)*)
  | (?P<string>"[^"\\\n]*(?:\\.[^"\\\n]*)*"|'[^'\\\n]*(?:\\.[^'\\\n]*)*')
  | (?P<raw>`[^`]*(?:``[^`]*)*`)
  | (?P<pointer>\#[a-zA-Z]*)
  | (?P<operator>\?\.|\?\?|\?|::|:|\.\.|\.|\*\*|==|=|!=|!|<=|<|>=|>|&&|\|\||\||(?!/\*)[*+\-/%^()\[\]{},;])
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"""\\(?:(?P<plain>[abfnrtv\\'"])|x(?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8})
    |u\{(?P<braced>[0-9a-fA-F]{1,6})\}|(?P<octal>[0-3][0-7]{2})|(?P<bad>.))""",
    re.VERBOSE | re.DOTALL,
)
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_BASES = {"x": 16, "b": 2, "o": 8}
_MAX_DIGITS = 400


def tokenize(text: str) -> list[Token]:
    """All tokens of the text, with one END at last. Raises `Fault`."""
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise Fault(_unreadable(text, position), position)
        if match.lastgroup != "space":
            tokens.append(_token(match, text))
        position = match.end()
    tokens.append(Token(Kind.END, "", len(text)))
    return tokens


def _token(match: re.Match[str], text: str) -> Token:
    position, written = match.start(), match[0]
    match match.lastgroup:
        case "number":
            _check_number_end(text, match.end())
            return Token(Kind.NUMBER, written, position, _number(written, position))
        case "word":
            _check_word(written, position)
            kind = Kind.OPERATOR if written in OPERATOR_WORDS else Kind.NAME
            return Token(kind, written, position)
        case "string":
            return Token(Kind.STRING, written, position, _unescape(written, position))
        case "raw":
            return Token(Kind.STRING, written, position, written[1:-1].replace("``", "`"))
        case "pointer":
            return Token(Kind.POINTER, written, position)
        case _:
            return Token(Kind.OPERATOR, written, position)


def _unreadable(text: str, position: int) -> str:
    mark = text[position]
    if mark in "\"'":
        return "this string is not closed on its line"
    if mark == "`":
        return "this raw string is not closed"
    if text.startswith("/*", position):
        return "this comment is not closed"
    return f"unexpected character {mark if mark.isprintable() else ascii(mark)[1:-1]}"


def _check_number_end(text: str, end: int) -> None:
    if end < len(text) and (text[end].isalnum() or text[end] in "_$"):
        raise Fault("a number ends where a letter or another digit follows", end)


def _check_word(word: str, position: int) -> None:
    for offset, mark in enumerate(word):
        if not (mark.isalpha() or mark in "_$" or (offset and mark.isdecimal())):
            raise Fault(f"unexpected character {mark}", position + offset)


def _number(written: str, position: int) -> int | float:
    digits = written.replace("_", "")
    base = _BASES.get(digits[1:2].lower(), 10)
    if base == 10 and any(mark in digits for mark in ".eE"):
        value = float(digits)
        if value == float("inf"):
            raise Fault("this number is too large for a float", position)
        return value
    if len(digits) > _MAX_DIGITS or (base != 10 and len(digits) == 2):
        raise Fault("this is not a number of 64 bits", position)
    whole = int(digits[2:], base) if base != 10 else int(digits)
    if whole > MAX_INT:
        raise Fault("this integer is too large: integers have 64 bits", position)
    return whole


def _unescape(written: str, position: int) -> str:
    body = written[1:-1]
    if "\\" not in body:
        return body
    quote = written[0]

    def replacement(match: re.Match[str]) -> str:
        plain = match["plain"]
        if plain in _PLAIN:
            return _PLAIN[plain]
        if plain == quote:
            return quote
        code = match["x"] or match["u"] or match["U"] or match["braced"]
        if code is None and match["octal"] is None:
            raise Fault("this escape is not known", position + 1 + match.start())
        return _character(int(code, 16) if code else int(match["octal"], 8), position + 1 + match.start())

    return _ESCAPE.sub(replacement, body)


def _character(code: int, position: int) -> str:
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise Fault("this escape is not a character", position)
    return chr(code)
