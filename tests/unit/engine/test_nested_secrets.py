from __future__ import annotations

from tests.support.builders import a_subjob, a_task, an_each
from tork.task import Parallel, TaskDefinition
from torkd.engine.nested_secrets import nested_secrets


def a_parent(value: str) -> TaskDefinition:
    return a_subjob(a_task("inner"), subjob={"secrets": {"given": "{{ secrets.x }}", "own": value}})


def test_secrets_are_found_at_any_depth_and_templates_are_left_out() -> None:
    deep = a_subjob(an_each("{{ [1] }}", a_parent("three")), subjob={"secrets": {"s": "two"}})
    beside = TaskDefinition(name="p", parallel=Parallel(tasks=[a_parent("one"), a_task("plain")]))
    assert list(nested_secrets([a_task("plain"), beside, deep])) == ["one", "two", "three"]


def test_a_job_without_sub_jobs_has_none() -> None:
    assert not any(nested_secrets([a_task("a"), an_each("{{ [1] }}", a_task("b"))]))
