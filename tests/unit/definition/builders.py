"""Short ways to write a document and to read what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tork.definition import read_job, read_scheduled_job, validate_job
from tork.errors import DefinitionError
from tork.job import JobDefinition
from tork.task import TaskDefinition


def yaml_task(field: str) -> str:
    """A job of one task with one more line, or several that are indented by four."""
    return f"name: j\ntasks:\n  - name: t\n    {field}\n"


def read_task(field: str) -> TaskDefinition:
    """The task with that line, read."""
    return read_job(yaml_task(field)).tasks[0]


def json_job(**fields: Any) -> str:
    """A job of one task as JSON, with these fields of the job."""
    return json.dumps({"name": "j", "tasks": [{"name": "t"}], **fields}, ensure_ascii=False)


def problems_of(document: bytes | str, **options: Any) -> list[str]:
    """The lines that reading the document ends with."""
    with pytest.raises(DefinitionError) as raised:
        read_job(document, **options)
    return raised.value.problems


def problems_of_schedule(document: bytes | str, **options: Any) -> list[str]:
    """The lines that reading the document for the scheduler ends with."""
    with pytest.raises(DefinitionError) as raised:
        read_scheduled_job(document, **options)
    return raised.value.problems


def broken_rules(job: JobDefinition) -> list[tuple[str, str]]:
    """Which rule is broken where."""
    return [(problem.rule, str(problem).partition(": ")[0]) for problem in validate_job(job)]
