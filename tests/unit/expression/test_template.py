"""Where groups begin and end, how values become text, and that text is evaluated once."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tork.errors import ExpressionError
from tork.expression import evaluate, render
from tork.expression.template import groups


@pytest.mark.parametrize(
    ("template", "want"),
    [
        ("", ""),
        ("{{}}", "{{}}"),
        ("{{", "{{"),
        ("{{ 1", "{{ 1"),
        ("{{ 1 +\n 2 }}", "{{ 1 +\n 2 }}"),
        ("{{\n 1 \n}}", "1"),
        ("{{ { a: 1} }}", "map[a:1]"),
        ('{{ {"a": {"b": 1} } }}', "map[a:map[b:1]]"),
        ("{{1}}{{2}}", "12"),
        ("{ {1}} {{ 1 }}}", "{ {1}} 1}"),
        ("{{ ' x ' }}", " x "),
        ("a\n{{ 1 }}\n", "a\n1\n"),
    ],
)
def test_groups_of_a_template(template: str, want: str) -> None:
    assert render(template, {}) == want


@pytest.mark.parametrize("template", ["{{ }}", "{{  }}", '{{ {"a": {"b": 1}} }}', '{{ "}}" }}', "{{ 1 }} {{ 2 2 }}"])
def test_bad_groups_of_a_template(template: str) -> None:
    with pytest.raises(ExpressionError):
        render(template, {})


@settings(max_examples=1000, deadline=None)
@given(st.text(alphabet="{} \n\ra", max_size=24))
def test_groups_are_those_of_the_pattern(text: str) -> None:
    pattern = re.compile(r"{{[ \t\n\f\r]*([^\n]+?)[ \t\n\f\r]*}}")
    assert groups(text) == [(match.start(), match.end(), match[1]) for match in pattern.finditer(text)]


def test_text_that_came_out_of_an_evaluation_is_never_evaluated_again() -> None:
    context = {"inputs": {"x": "{{ secrets.key }}", "y": "{{", "z": " secrets.key }}"}, "secrets": {"key": "s3cret"}}
    assert render("{{ inputs.x }}", context) == "{{ secrets.key }}"
    assert render("{{ inputs.y }}{{ inputs.z }}", context) == "{{ secrets.key }}"
    assert evaluate("{{ inputs.x }}", context) == "{{ secrets.key }}"
    assert evaluate("inputs.y + inputs.z", context) == "{{ secrets.key }}"


def test_single_expression_is_the_first_group_or_the_whole_text() -> None:
    assert evaluate("ignored {{ 1 + 1 }} {{ nope }}", {}) == 2
    assert evaluate("1 +\n 1", {}) == 2


@pytest.mark.parametrize(
    ("expression", "want"),
    [
        ("3.0", "3"),
        ("999999.0", "999999"),
        ("1000000.0", "1e+06"),
        ("1234567.5", "1.2345675e+06"),
        ("0.0001", "0.0001"),
        ("0.00002", "2e-05"),
        ("1e100", "1e+100"),
        ("0.1 + 0.2", "0.30000000000000004"),
        ("-0.5", "-0.5"),
        ("-1.0 / 0", "-Inf"),
        ("9007199254740993", "9007199254740993"),
        ("[[1], [2, 3], []]", "[[1] [2 3] []]"),
        ("{b: {c: nil}, a: ['x y']}", "map[a:[x y] b:map[c:<nil>]]"),
        ("groupBy([2, 1, 10], #)", "map[1:[1] 2:[2] 10:[10]]"),
        ("duration('1500ms')", "1.5s"),
        ("duration('0s')", "0s"),
        ("date('2024-03-10')", "2024-03-10 00:00:00 +0000 UTC"),
        ("date('2024-03-10').Month()", "March"),
        ("date('2024-03-10').Weekday()", "Sunday"),
    ],
)
def test_value_as_text(expression: str, want: str) -> None:
    assert render("{{ " + expression + " }}", {}) == want
    assert evaluate(f"string({expression})", {}) == want


def test_threads_do_not_disturb_each_other() -> None:
    template = "{{ map(1..n, {let k = #; k * n}) | sum() }}"

    def work(n: int) -> bool:
        return all(render(template, {"n": n}) == str(n * n * (n + 1) // 2) for _ in range(30))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(1, 33)))
