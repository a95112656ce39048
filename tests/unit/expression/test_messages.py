"""Error texts: one sentence, the place, the line with a caret; and never a value, which could be a secret."""

from __future__ import annotations

import pytest

from tork.errors import ExpressionError
from tork.expression import check, evaluate, render


def error_of(text: str, context: dict[str, object]) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        evaluate(text, context)
    return caught.value


@pytest.mark.parametrize(
    ("expression", "message", "position"),
    [
        ("nope", "unknown name nope (1:1)\n | nope\n | ^", 0),
        ("1 +\n  nope", "unknown name nope (2:3)\n |   nope\n |   ^", 6),
        ("nofunc(1)", "unknown function nofunc (1:1)\n | nofunc(1)\n | ^", 0),
        ("1 +", "unexpected end, where a value would be right (1:4)\n | 1 +\n |    ^", 3),
        ('"a" + 1', '+ can\'t be used on string and int (1:5)\n | "a" + 1\n |     ^', 4),
        ("\t1 + 'x", "this string is not closed on its line (1:6)\n |  1 + 'x\n |      ^", 5),
        ("upper()", "upper takes 1 argument (1:1)\n | upper()\n | ^", 0),
        ("[1][3]", "index 3 is out of range, the array has 1 elements (1:4)\n | [1][3]\n |    ^", 3),
    ],
    ids=lambda value: str(value)[:20],
)
def test_message_shows_the_place(expression: str, message: str, position: int) -> None:
    error = error_of(expression, {})
    assert (str(error), error.position) == (message, position)


def test_long_line_is_cut_around_the_place() -> None:
    error = error_of("'" + "x" * 500 + "' + nope + '" + "y" * 500 + "'", {})
    _, line, caret = str(error).split("\n")
    assert len(line) < 120
    assert line[caret.index("^") :].startswith("nope")


def test_place_is_inside_the_group_of_a_template() -> None:
    with pytest.raises(ExpressionError, match=r"unknown name nope \(1:5\)\n \| 1 \+ nope\n \|     \^"):
        render("text {{ 1 + nope }}", {})


SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "expression",
    [
        "int(s.x)", "float(s.x)", "fromJSON(s.x)", "fromBase64(s.x + '*')", "date(s.x)", "duration(s.x)", "s.x + 1",
        "timezone(s.x)", "'a' matches '(' + s.x", "s[s.x].y", "[1][s.x]", "s.x.y", "sort([1], s.x)", "s.x[0]",
        "date('2024-01-01', s.x)", "get([1], s.x)",
    ],
)  # fmt: skip
def test_message_never_quotes_a_value(expression: str) -> None:
    error = error_of(expression, {"s": {"x": SECRET}})
    assert SECRET not in str(error)


@pytest.mark.parametrize("text", ["", "foo", "nofunc(1)", "{{ foo.bar }}", "{{ a }} and {{ 1 + }}", "x\n+\ny"])
def test_check_accepts(text: str) -> None:
    check(text)


@pytest.mark.parametrize("text", ["1 +", "{{ 1 + }}", "{{ }}", " ", "x {{ a }", "len()", "#", "let x = 1", "a b"])
def test_check_refuses(text: str) -> None:
    with pytest.raises(ExpressionError):
        check(text)
