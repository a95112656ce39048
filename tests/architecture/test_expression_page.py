"""Every example of `docs/expressions.md` is tried, and every function has one."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from tests.architecture.tree import ROOT
from tork.errors import ExpressionError
from tork.expression import evaluate, render
from tork.expression.functions import FUNCTIONS
from tork.expression.predicates import PREDICATES

PAGE = (ROOT / "docs" / "expressions.md").read_text(encoding="utf-8")
CONTEXT: dict[str, Any] = yaml.safe_load(PAGE.partition("```yaml\n")[2].partition("```")[0])
ROW = re.compile(r"\| `(.*?)` \| (.*?) \|$", re.MULTILINE)


def rows(header: str) -> list[tuple[str, str]]:
    """The rows of all tables with this header; a pipe is escaped in tables."""
    found = []
    for table in re.findall(rf"^{re.escape(header)}\n\| --- \| --- \|\n((?:\|.*\n)+)", PAGE, re.MULTILINE):
        for line in table.splitlines():
            match = ROW.fullmatch(line)
            assert match is not None, line
            found.append((match[1].replace("\\|", "|"), match[2].replace("\\|", "|")))
    return found


def unquoted(cell: str) -> str:
    return cell.removeprefix("`").removesuffix("`")


VALUES = rows("| Expression | Value |")
TEMPLATES = rows("| Template | Text |")
ERRORS = rows("| Expression | What is wrong |")


@pytest.mark.parametrize(("expression", "value"), VALUES, ids=[row[0] for row in VALUES])
def test_an_expression_has_the_value_on_the_page(expression: str, value: str) -> None:
    found = evaluate(expression, CONTEXT)
    wanted = json.loads(unquoted(value))
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(("template", "text"), TEMPLATES, ids=[row[0] for row in TEMPLATES])
def test_a_template_gives_the_text_on_the_page(template: str, text: str) -> None:
    assert render(template, CONTEXT) == unquoted(text)


@pytest.mark.parametrize("expression", [row[0] for row in ERRORS])
def test_what_the_page_calls_an_error_is_one(expression: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(expression, CONTEXT)


@pytest.mark.parametrize("name", sorted({*FUNCTIONS, *PREDICATES}))
def test_every_function_has_an_example(name: str) -> None:
    assert [text for text, _ in VALUES if re.search(rf"\b{name}\(", text)]


def test_the_page_has_its_tables() -> None:
    assert (len(VALUES) > 120, len(TEMPLATES) > 10, len(ERRORS) > 5) == (True, True, True)
