"""What expressions see of their context: string maps, summaries, `$env`; and that they leave it alone."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from enum import Enum
from types import MappingProxyType
from typing import Any

import pytest

from tork.errors import ExpressionError
from tork.expression import Summary, evaluate, render

CONTEXT: dict[str, Any] = {
    "inputs": {"x": "1", "empty": ""},
    "secrets": {},
    "tasks": {},
    "job": {"id": "j1", "name": "n"},
    "item": {"index": "0", "value": {"a": None}},
}


@pytest.mark.parametrize(
    "expression",
    [
        "inputs.nope",
        "inputs['nope']",
        "inputs?.nope",
        "inputs?.['nope']",
        "secrets.nope",
        "tasks.nope",
        "job.nope",
        "let i = inputs; i.nope",
        "$env.inputs.nope",
        "([inputs] | map(.nope))[0]",
        "inputs.nope ?? 'unused'",
    ],
)
def test_missing_key_of_a_string_map_reads_as_the_empty_string(expression: str) -> None:
    assert evaluate(expression, CONTEXT) == ""


@pytest.mark.parametrize(
    "expression",
    ["item.nope", "item.value.nope", "get(inputs, 'nope')", "inputs | get('nope')", "{a: 1}.b", "$env?.nope"],
)
def test_missing_key_elsewhere_reads_as_nil(expression: str) -> None:
    assert evaluate(expression, CONTEXT) is None


def test_missing_input_can_have_a_default() -> None:
    assert evaluate("get(inputs, 'nope') ?? 'dflt'", CONTEXT) == "dflt"
    assert evaluate("'nope' in inputs ? inputs.nope : 'dflt'", CONTEXT) == "dflt"
    assert render("[{{ inputs.nope }}]", CONTEXT) == "[]"


@pytest.mark.parametrize("expression", ["$env.nope", "true || $env.nope", "$env['nope']", "let e = $env; e.nope"])
def test_absent_name_of_the_environment_is_an_error(expression: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(expression, CONTEXT)


@pytest.mark.parametrize(
    ("expression", "context"),
    [
        ("let inputs = 1; 2", CONTEXT),
        ("len(xs)", {"len": 1, "xs": []}),
        ("let x = 1; (let x = 2; x)", {}),
        ("let get = 1; get", {}),
        ("f(1)", {"f": 1}),
        ("let f = 1; f(1)", {}),
    ],
)
def test_names_that_clash_are_refused(expression: str, context: dict[str, Any]) -> None:
    with pytest.raises(ExpressionError):
        evaluate(expression, context)


def test_context_hides_a_builtin_unless_it_is_forced() -> None:
    assert evaluate("len + ::len(xs)", {"len": 40, "xs": [1, 2]}) == 42
    assert evaluate("::map(map, # + 1)", {"map": [1]}) == [2]


class State(Enum):
    DONE = "COMPLETED"


SUMMARY = Summary(
    {
        "id": "j1",
        "parentId": "p",
        "taskCount": 3,
        "state": State.DONE,
        "startedAt": None,
        "createdAt": datetime(2024, 3, 10, tzinfo=UTC),
        "tags": ("a", "b"),
    }
)


@pytest.mark.parametrize(
    ("expression", "want"),
    [
        ("job.State == 'COMPLETED'", True),
        ("job.state == 'COMPLETED'", True),
        ("job.ID + job.id + job.ParentID + job.parentId", "j1j1pp"),
        ("job.TaskCount + job['taskCount']", 6),
        ("job.StartedAt == nil", True),
        ("job.createdAt > date('2024-01-01')", True),
        ("'b' in job.Tags", True),
        ("'State' in job && 'nope' not in job", True),
        ("get(job, 'nope')", None),
        ("type(job)", "map"),
    ],
)
def test_summary_answers_to_both_spellings(expression: str, want: object) -> None:
    assert evaluate(expression, {"job": SUMMARY}) == want


@pytest.mark.parametrize("expression", ["job.nope", "job.STATE", "job['nope']", "job?.nope"])
def test_unknown_field_of_a_summary_is_an_error(expression: str) -> None:
    with pytest.raises(ExpressionError, match="there is no"):
        evaluate(expression, {"job": SUMMARY})


def test_summary_comes_out_as_plain_data_and_can_be_shown() -> None:
    summary = Summary({"id": "j1", "count": 2})
    assert evaluate("job", {"job": summary}) == {"id": "j1", "count": 2}
    assert render("{{ job }}", {"job": summary}) == "map[count:2 id:j1]"


def test_nothing_changes_the_context() -> None:
    context = {"xs": [3, 1, 2], "m": {"b": [1], "a": 2}}
    before = copy.deepcopy(context)
    for expression in (
        "sort(xs)", "reverse(xs)", "concat(xs, [4])", "take(xs, 2)", "uniq(xs)", "sortBy(xs, #)", "flatten([xs])",
        "map(xs, # * 2)", "reduce(xs, #acc + #)", "keys(m)", "toPairs(m)", "groupBy(xs, #)", "xs[1:]", "values(m)",
    ):  # fmt: skip
        evaluate(expression, context)
    assert context == before


def test_any_mapping_will_do_as_context() -> None:
    assert evaluate("x + 1", MappingProxyType({"x": 1})) == 2


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", len, (1, 2)], ids=lambda value: type(value).__name__)
def test_values_that_are_not_plain_data_do_not_pass(value: object) -> None:
    for expression in ("x", "[x]", "x + x", "string(x)", "toJSON(x)", "x.a", "x[0]", "len(x)"):
        with pytest.raises(ExpressionError):
            evaluate(expression, {"x": value})
