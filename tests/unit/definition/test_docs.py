"""`docs/jobs.md` names every key, and its tables are those of the model classes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tork.definition import job_schema, read_job
from tork.definition.reference import SECTIONS, with_key_tables

PAGE = (Path(__file__).parents[3] / "docs" / "jobs.md").read_text(encoding="utf-8")
DEFINITIONS = job_schema()["$defs"]


def test_the_tables_are_up_to_date() -> None:
    assert with_key_tables(PAGE) == PAGE, "run: python -m tork.definition docs/jobs.md"


@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_page_has_a_table_with_every_key(name: str) -> None:
    section = PAGE.partition(f"<!-- keys of {name} -->")[2].partition("<!-- end of keys -->")[0]
    missing = [key for key in DEFINITIONS[name]["properties"] if f"\n| `{key}` |" not in section]
    assert missing == []


def test_every_class_has_its_heading() -> None:
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert set(SECTIONS.values()) <= set(headings)
    assert set(SECTIONS) | {"JobDefinition"} == set(DEFINITIONS)


def test_the_job_on_the_page_is_right() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert read_job(example).name == "hello"
