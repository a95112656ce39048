"""The JSON Schema agrees with the classes and the rules that the reader uses."""

from __future__ import annotations

import json
import re

import msgspec
import pytest

from tests.unit.definition.builders import broken_rules
from tests.unit.definition.test_rules import with_task
from tork.definition import job_schema
from tork.definition.convert import known_keys
from tork.definition.task_rules import NOT_IN_COMPOSITES
from tork.job import Defaults, JobDefinition, Wait
from tork.task import Each, Mount, Parallel, Probe, Retry, Sidecar, SubJob, TaskDefinition, WebhookDefinition

CLASSES: list[type[msgspec.Struct]] = [
    JobDefinition,
    TaskDefinition,
    Sidecar,
    Retry,
    Each,
    Parallel,
    SubJob,
    Defaults,
    Probe,
]


def test_it_is_plain_json_of_the_named_dialect() -> None:
    schema = job_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("cls", CLASSES)
def test_it_has_every_key_with_a_description_and_no_other(cls: type[msgspec.Struct]) -> None:
    definition = job_schema()["$defs"][cls.__name__]
    assert list(definition["properties"]) == known_keys(cls)
    assert definition["additionalProperties"] is False
    assert all(field["description"] for field in definition["properties"].values())


@pytest.mark.parametrize(
    "cls", [JobDefinition, Sidecar, Mount, Parallel, Each, SubJob, Retry, Probe, WebhookDefinition, Wait]
)
def test_every_required_key_is_one_of_the_class(cls: type[msgspec.Struct]) -> None:
    required = job_schema()["$defs"][cls.__name__]["required"]
    assert required
    assert set(required) <= set(known_keys(cls))


def test_names_are_required_in_lists_of_steps_but_not_under_parallel_and_each() -> None:
    definitions = job_schema()["$defs"]
    assert definitions["TaskDefinition"]["required"] == []
    assert definitions["JobDefinition"]["properties"]["tasks"]["items"]["required"] == ["name"]
    assert definitions["SubJob"]["properties"]["tasks"]["items"]["required"] == ["name"]
    assert "required" not in definitions["Parallel"]["properties"]["tasks"]["items"]


@pytest.mark.parametrize(
    ("name", "key", "least", "most"),
    [
        ("TaskDefinition", "priority", 0, 9),
        ("Defaults", "priority", 0, 9),
        ("Retry", "limit", 1, 10),
        ("Each", "concurrency", 0, 99_999),
        ("Probe", "port", 1, 65_535),
    ],
)
def test_whole_numbers_have_the_bounds_of_the_rules(name: str, key: str, least: int, most: int) -> None:
    field = job_schema()["$defs"][name]["properties"][key]
    assert (field["minimum"], field["exclusiveMaximum"]) == (least, most + 1)


def test_texts_may_be_any_scalar_since_yaml_keeps_them_as_written() -> None:
    definitions = job_schema()["$defs"]
    assert definitions["Limits"]["properties"]["cpus"]["type"] == ["string", "number", "boolean", "null"]
    env = definitions["TaskDefinition"]["properties"]["env"]
    assert env["additionalProperties"]["type"] == ["string", "number", "boolean", "null"]


@pytest.mark.parametrize(
    "text", ["", "0", "+5s", "1h30m", "1.5h", ".5s", "1.s", "300ms", "2us", "2µs", "soon", "-1s", "1d", "5", "1 s"]
)
def test_the_pattern_of_durations_says_what_the_rule_says(text: str) -> None:
    pattern = job_schema()["$defs"]["TaskDefinition"]["properties"]["timeout"]["pattern"]
    assert bool(re.search(pattern, text)) == (broken_rules(with_task(timeout=text)) == [])


def test_composites_exclude_what_the_rules_exclude() -> None:
    task = job_schema()["$defs"]["TaskDefinition"]
    assert [part["required"][0] for part in task["then"]["not"]["anyOf"]] == list(NOT_IN_COMPOSITES)
    assert {tuple(part["not"]["required"]) for part in task["allOf"]} == {
        ("parallel", "each"),
        ("parallel", "subjob"),
        ("each", "subjob"),
    }
