"""What a text may read, without evaluating it: too much is fine, too little never."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tork.errors import ExpressionError
from tork.expression import references, render

ALL = frozenset({("inputs", None), ("secrets", None), ("tasks", None), ("job", None)})


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("plain", set()),
        ("{{ 1 + 2 }}", set()),
        ("{{ inputs.x }}", {("inputs", "x")}),
        ("{{ inputs?.x }}", {("inputs", "x")}),
        ("{{ inputs['x y'] }}", {("inputs", "x y")}),
        ("{{ inputs?.['x'] }}", {("inputs", "x")}),
        ("{{ get(inputs, 'x') ?? 'd' }}", {("inputs", "x")}),
        ("{{ 'x' in inputs }}", {("inputs", "x")}),
        ("{{ 'x' not in inputs }}", {("inputs", "x")}),
        ("{{ inputs.x.y[0] }}", {("inputs", "x")}),
        ("a {{ inputs.x }} {{ tasks.y }} {{ secrets.z }}", {("inputs", "x"), ("tasks", "y"), ("secrets", "z")}),
        ("{{ inputs }}", {("inputs", None)}),
        ("{{ inputs[job.id] }}", {("inputs", None), ("job", "id")}),
        ("{{ let i = inputs; i.x }}", {("inputs", None)}),
        ("{{ inputs | keys() }}", {("inputs", None)}),
        ("{{ get(inputs, tasks.a) }}", {("inputs", None), ("tasks", "a")}),
        ("{{ tasks.a in inputs }}", {("inputs", None), ("tasks", "a")}),
        ("{{ filter(fromJSON(tasks.xs), # == inputs.x) }}", {("inputs", "x"), ("tasks", "xs")}),
        ("{{ true ? inputs.a : inputs.b }}", {("inputs", "a"), ("inputs", "b")}),
        ("{{ [inputs][0].x }}", {("inputs", None)}),
        ("{{ (inputs).x }}", {("inputs", "x")}),
        ("{{ item.value }}", {("item", "value")}),
        ("{{ {k: tasks.a, (tasks.b): 1} }}", {("tasks", "a"), ("tasks", "b")}),
        ("{{ map([1], {let t = tasks.a; t}) }}", {("tasks", "a")}),
        ("{{ date(inputs.d).Format(inputs.f) }}", {("inputs", "d"), ("inputs", "f")}),
        ("{{ 'abc'[int(inputs.a):int(inputs.b)] }}", {("inputs", "a"), ("inputs", "b")}),
        ("{{ if inputs.a == '' { tasks.b } else { tasks.c } }}", {("inputs", "a"), ("tasks", "b"), ("tasks", "c")}),
    ],
)
def test_references_of_a_template(text: str, want: set[tuple[str, str | None]]) -> None:
    assert references(text) == want


@pytest.mark.parametrize(
    "text", ["{{ $env.x }}", "{{ $env }}", "{{ 1 + }}", "{{ inputs.x }} {{ }}", "{{ get($env, 'a') }}"]
)
def test_everything_may_be_read_by_the_environment_or_an_unreadable_text(text: str) -> None:
    assert references(text) == ALL


def test_single_expression_rule_applies_where_asked() -> None:
    assert references("tasks.xs", single=True) == {("tasks", "xs")}
    assert references("{{ tasks.a }} {{ tasks.b }}", single=True) == {("tasks", "a")}
    assert references("", single=True) == ALL


class Watched(dict[str, Any]):
    """A context whose own names stay plain, used to see which values a text depends on."""


ATOMS = st.sampled_from(
    ["inputs", "tasks", "inputs.a", "tasks.b", "inputs['b']", "'a'", "get(inputs, 'b')", "tasks?.a", "$env", "i"]
)
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("({}) | get({})".format, inner, inner),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("({}).a".format, inner),
        st.builds("({}) in ({})".format, inner, inner),
        st.builds("let i = {}; {}".format, inner, inner).map("({})".format),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("map([{}], string(#) + string({}))".format, inner, inner),
        st.builds("{{k: {}}}.k".format, inner),
        st.builds("values({})".format, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS)
def test_result_depends_on_nothing_that_was_not_named(expression: str) -> None:
    text = "{{ " + expression + " }}"
    named = references(text)
    context = {"inputs": {"a": "1", "b": "a"}, "secrets": {}, "tasks": {"a": "b", "b": "2"}, "job": {}}
    other = {
        name: {
            key: value if (name, key) in named or (name, None) in named else "changed" for key, value in values.items()
        }
        for name, values in context.items()
    }
    assert outcome(text, context) == outcome(text, other)


def outcome(text: str, context: dict[str, Any]) -> str:
    try:
        return render(text, context)
    except ExpressionError:
        return "refused"
