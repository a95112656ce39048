"""Every bound of an evaluation: what is just inside passes, what is beyond is an error and not a hang."""

from __future__ import annotations

from typing import Any

import pytest

from tork.errors import ExpressionError
from tork.expression import Limits, evaluate, render

DOUBLING = "reduce(1..40, [#acc, #acc], 1)"
MEBI = 1024 * 1024


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("1" + " " * 65536, "longer than 65536 characters"),
        ("(" * 5000, "nested more than 100"),
        ("(" * 101 + "1" + ")" * 101, "nested more than 100"),
        ("-" * 5000 + "1", "nested more than 100"),
        ("!" * 5000 + "true", "nested more than 100"),
        ("[" * 5000, "nested more than 100"),
        ("{a:" * 5000, "nested more than 100"),
        ("2 ** " * 5000 + "2", "nested more than 100"),
        ("true ? 1 : " * 5000 + "2", "nested more than 100"),
        ("if true {1} else " * 3000 + "{2}", "nested more than 100"),
        ("{a: 1}" + ".a" * 200, "nested more than 100"),
        ("[" + "1," * 20000 + "]", "more than 10000 parts"),
        ("map(1..1000, map(1..1000, #))", "more than"),
        ("1..300000 | map(# + 1) | len()", "more than 1000000 steps"),
        ("1..600000 | map(1) | len()", "more than 1000000 list elements"),
        ("[1..300000 | filter(true), 1..300000 | sort()]", "more than 1000000 list elements"),
        ("1..1000001", "more than 1000000 list elements"),
        ("0..9223372036854775807", "more than 1000000 list elements"),
        ("sequence(0, 1000001)", "more than 1000000 list elements"),
        ("concat(1..400000, 1..400000, 1..400000)", "more than 1000000 list elements"),
        ("flatten([1..600000, 1..600000])", "more than 1000000 list elements"),
        ("let x = 1..600000; x[1:] | len()", "more than 1000000 list elements"),
        ("repeat('ab', 1000000)", "longer than 1048576"),
        ("repeat('a', 1000001)", "repeat"),
        ("let s = repeat('a', 1000000); s + s", "longer than 1048576"),
        ("replace(repeat('a', 1000000), 'a', 'bb')", "longer than 1048576"),
        ("join(map(1..100, repeat('a', 100000)))", "longer than 1048576"),
        ("toJSON(map(1..100, repeat('a', 100000)))", "longer than 1048576"),
        ("string(map(1..100, repeat('a', 100000)))", "longer than 1048576"),
        ("map(1..1000, repeat('a', 1000000)) | len()", "characters of text"),
        ("9223372036854775807 + 1", "64 bits"),
        ("-9223372036854775807 - 2", "64 bits"),
        ("9223372036854775807 * 2", "64 bits"),
        ("9223372036854775808", "64 bits"),
        ("0xFFFFFFFFFFFFFFFF", "64 bits"),
        ("sum([9223372036854775807, 1])", "64 bits"),
        ("int(1e19)", "64 bits"),
        ("bitshl(1, 64)", "0 to 63"),
        ("bitshr(1, -1)", "0 to 63"),
        ("'a' matches repeat('a', 1001)", "longer than 1000"),
        ("'a' matches 'a{1000}{1000}'", "not valid"),
        ("fromJSON(repeat('[', 101) + repeat(']', 101))", "nesting"),
        ("fromJSON(repeat('[', 500000))", "valid JSON"),
        ("date('2024-01-01').Format(repeat('2006', 26))", "at most 100"),
        ("date('2024-01-01', repeat('2006', 26))", "at most 100"),
        (DOUBLING, "more than 5000000 values"),
        (f"{DOUBLING} == {DOUBLING}", "steps"),
        (f"uniq([{DOUBLING}])", "steps"),
        (f"string({DOUBLING})", "longer than"),
        (f"toJSON({DOUBLING})", "longer than"),
        (f"flatten({DOUBLING})", "list elements"),
        (f"max({DOUBLING})", "list elements"),
        ("reduce(1..100000, [#acc], 1)", "nested more than 200"),
        ("string(reduce(1..100000, [#acc], 1))", "nested too deeply"),
        ("date('9999-12-31').AddDate(1, 0, 0)", "0 to 9999"),
        ("duration('2000000h') + duration('2000000h')", "292 years"),
    ],
    ids=lambda text: text[:40],
)
def test_expression_beyond_a_limit_is_refused(expression: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        evaluate(expression, {})


@pytest.mark.parametrize(
    ("expression", "want"),
    [
        ("(" * 99 + "1" + ")" * 99, 1),
        ("1 + (" * 49 + "1" + ")" * 49, 50),
        ("1" + " + 1" * 4000, 4001),
        ("true" + " and true" * 4000, True),
        ("-" * 98 + "1", 1),
        ("len(1..1000000)", 1_000_000),
        ("len(repeat('a', 1000000))", 1_000_000),
        ("1..100000 | map(# * 2) | last()", 200_000),
        ("len(fromJSON(repeat('[', 99) + repeat(']', 99)))", 1),
        ("bitshl(1, 63)", -(2**63)),
        ("-9223372036854775807 - 1", -(2**63)),
        ("10.0 ** 400 > 1", True),
        ("repeat('a', 100000) + 'b' matches '(a+)+$'", False),
    ],
    ids=lambda text: str(text)[:40],
)
def test_expression_within_the_limits_is_evaluated(expression: str, want: object) -> None:
    assert evaluate(expression, {}) == want


@pytest.mark.parametrize(
    ("expression", "context"),
    [
        ("map(1..100000, s contains 'zz') | len()", {"s": "x" * MEBI}),
        ("map(1..60000, sum(xs)) | len()", {"xs": [1] * 20000}),
        ("map(1..60000, -1 in xs) | len()", {"xs": [1] * 20000}),
        ("map(1..60000, join(xs)) | len()", {"xs": ["a"] * 20000}),
        ("map(1..60000, ys == zs) | len()", {"ys": [1] * 20000, "zs": [1] * 20000}),
        ("map(1..100000, 'a' matches 'x{900}' + string(#)) | len()", {}),
        ("sortBy(1..10000, s) | len()", {"s": "x" * MEBI}),
        ("map(1..200000, 'a' matches 'b') | len()", {}),
        ("s matches '(x{1,100}){1,9}y'", {"s": "x" * MEBI}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_work_inside_builtins_counts(expression: str, context: dict[str, Any]) -> None:
    with pytest.raises(ExpressionError, match="more than"):
        evaluate(expression, context)


def test_json_text_is_bounded() -> None:
    with pytest.raises(ExpressionError, match="at most 10485760 characters"):
        evaluate("fromJSON(s)", {"s": " " * (10 * MEBI + 1)})


def test_rendered_template_is_bounded() -> None:
    with pytest.raises(ExpressionError, match="longer than 10485760"):
        render("{{ s }}{{ s }}", {"s": "x" * (6 * MEBI)})


def test_template_of_many_open_groups_is_cut_in_linear_time() -> None:
    for text in (
        "{{" * 200_000,
        "{{ " * 200_000 + "a\nb}}",
        "{{" + " " * 400_000,
        "{{" * 100_000 + "x" + "\n" * 100_000 + "a}}",
    ):
        assert render(text, {}) == text


def test_limits_can_be_set() -> None:
    with pytest.raises(ExpressionError, match="more than 10 list elements"):
        evaluate("1..11", {}, limits=Limits(elements=10))
    assert len(evaluate("1..10", {}, limits=Limits(elements=10))) == 10


@pytest.mark.parametrize(
    "expression",
    ["(" * 99 + "1" + ")" * 99, "map([1], " * 45 + "1" + ")" * 45, "-(" * 49 + "1" + ")" * 49, "[" * 99 + "]" * 99],
    ids=["parentheses", "predicates", "signs", "lists"],
)
def test_deepest_nesting_needs_little_stack_and_lacking_it_is_an_error(expression: str) -> None:
    def below(frames: int) -> str:
        if frames:
            return below(frames - 1)
        try:
            return str(len(str(evaluate(expression + " ", {}))))
        except ExpressionError as error:
            return str(error)

    assert below(100).isdigit()
    for frames in range(500, 880, 7):
        outcome = below(frames)
        assert outcome.isdigit() or "nested too deeply" in outcome
