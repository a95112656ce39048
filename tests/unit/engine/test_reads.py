"""What of a job's context is loaded for a task."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.builders import a_parallel, a_subjob, a_task, an_each
from tork.task import AuxTask, Registry, Sidecar, TaskDefinition, WebhookDefinition
from torkd.engine.reads import NOTHING, Reads, reads_of, reads_of_text

READ = "{{ inputs.x }}"
X = Reads(keys=frozenset({"inputs.x"}))

PLACES: dict[str, dict[str, Any]] = {
    "name": {"name": READ},
    "image": {"image": READ},
    "var": {"var": READ},
    "queue": {"queue": READ},
    "if": {"if_": READ},
    "cmd": {"cmd": ["a", READ]},
    "env": {"env": {"A": "a", "E": READ}},
    "user name": {"registry": Registry(username=READ)},
    "password": {"registry": Registry(password=READ)},
    "pre": {"pre": [AuxTask(image=READ)]},
    "post": {"post": [AuxTask(cmd=[READ])]},
    "sidecar": {"sidecars": [Sidecar(env={"E": READ})]},
    "registry of a step": {"pre": [AuxTask(registry=Registry(password=READ))]},
    "parallel": {"parallel": a_parallel(a_task(), a_task(image=READ)).parallel},
    "list of an each": {"each": an_each("inputs.x").each},
    "task of an each": {"each": an_each("{{ [] }}", a_task(image=READ)).each},
    "name of a sub-job": {"subjob": a_subjob(job_name=READ).subjob},
    "inputs of a sub-job": {"subjob": a_subjob(subjob={"inputs": {"i": READ}}).subjob},
    "secrets of a sub-job": {"subjob": a_subjob(subjob={"secrets": {"i": READ}}).subjob},
    "address of a sub-job's webhook": {"subjob": a_subjob(subjob={"webhooks": [WebhookDefinition(url=READ)]}).subjob},
    "headers of a sub-job's webhook": {
        "subjob": a_subjob(subjob={"webhooks": [WebhookDefinition(headers={"h": READ})]}).subjob
    },
}


@pytest.mark.parametrize("fields", list(PLACES.values()), ids=list(PLACES))
def test_every_place_that_is_evaluated_is_looked_at(fields: dict[str, Any]) -> None:
    assert reads_of(TaskDefinition(**fields)) == X


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(TaskDefinition(run=READ, entrypoint=[READ], files={"f": READ}), id="not templates"),
        pytest.param(a_subjob(a_task(image=READ), subjob={"output": READ}), id="tasks of a sub-job"),
        pytest.param(a_task(image="{{ job.id }}{{ item.value }}"), id="what is always there"),
        pytest.param(a_task(image="inputs.x"), id="text"),
    ],
)
def test_what_does_not_read_the_context_loads_nothing(task: TaskDefinition) -> None:
    assert reads_of(task) == NOTHING


def test_a_namespace_that_is_read_by_computed_names_is_loaded_whole() -> None:
    reads = reads_of_text("{{ inputs[tasks.name] }} {{ secrets.k }}")
    assert reads == Reads(frozenset({"tasks.name", "secrets.k"}), frozenset({"inputs"}))


@pytest.mark.parametrize(
    ("loaded", "needed", "covered"),
    [
        (NOTHING, NOTHING, True),
        (X, NOTHING, True),
        (NOTHING, X, False),
        (X, X, True),
        (Reads(namespaces=frozenset({"inputs"})), X, True),
        (Reads(namespaces=frozenset({"tasks"})), X, False),
        (X, Reads(namespaces=frozenset({"inputs"})), False),
    ],
    ids=["nothing of nothing", "nothing", "missing", "the same", "whole namespace", "other namespace", "only a key"],
)
def test_a_load_covers_what_it_has(loaded: Reads, needed: Reads, covered: bool) -> None:
    assert loaded.covers(needed) is covered
    assert (loaded | needed).covers(needed)
