"""The language's test data, exact in type and value. `cases.json`: an expression or template, a context, what comes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tork.errors import ExpressionError
from tork.expression import evaluate, render

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases.json").read_text())


def run(case: dict[str, Any]) -> Any:
    return evaluate(case["expr"], case["env"]) if "expr" in case else render(case["template"], case["env"])


def same(left: Any, right: Any) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def ids(case: dict[str, Any]) -> str:
    return f"{case['feature']}: {case.get('expr', case.get('template'))}"


@pytest.mark.parametrize("case", [case for case in CASES if not case.get("error")], ids=ids)
def test_case_gives_the_value_it_names(case: dict[str, Any]) -> None:
    before = json.dumps(case["env"])

    got = run(case)

    assert same(got, case["want"]), got
    assert json.dumps(case["env"]) == before


@pytest.mark.parametrize("case", [case for case in CASES if case.get("error")], ids=ids)
def test_case_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(ExpressionError):
        run(case)


def test_all_cases_are_there() -> None:
    assert len(CASES) > 250
