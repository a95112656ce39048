"""What is evaluated, when, with what, and that nothing is evaluated twice."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.builders import a_job, a_parallel, a_subjob, a_task, an_each
from tests.support.engine_play import Play
from tork.errors import ExpressionError
from tork.job import JobDefinition
from tork.task import AuxTask, Registry, Retry, Sidecar, TaskDefinition, WebhookDefinition
from torkd.engine.instance import evaluate_task, text_of

CONTEXT: dict[str, Any] = {"inputs": {"x": "1"}, "secrets": {"k": "s3"}, "tasks": {}, "job": {"id": "j", "name": "n"}}
THEFT = "{{ secrets.key }}"
"""What a user could send as an input, or a task could print."""
ALL_FOUR = "{{ job.id }}/{{ job.name }}/{{ inputs.x }}/{{ secrets.k }}/{{ tasks.none }}"


def test_every_templated_field_of_a_task_is_evaluated() -> None:
    step: dict[str, Any] = {
        "name": "{{ inputs.x }}",
        "image": "i{{ inputs.x }}",
        "cmd": ["c{{ inputs.x }}"],
        "env": {"E": "{{ inputs.x }}"},
        "registry": Registry(username="u{{ inputs.x }}", password="{{ secrets.k }}"),
    }
    done: dict[str, Any] = {
        "name": "1",
        "image": "i1",
        "cmd": ["c1"],
        "env": {"E": "1"},
        "registry": Registry(username="u1", password="s3"),
    }
    task = TaskDefinition(
        **step,
        var="v{{ inputs.x }}",
        queue="q{{ inputs.x }}",
        if_="{{ inputs.x == '1' }}",
        pre=[AuxTask(**step)],
        post=[AuxTask(**step)],
        sidecars=[Sidecar(**step)],
    )
    assert evaluate_task(task, CONTEXT) == TaskDefinition(
        **done,
        var="v1",
        queue="q1",
        if_="true",
        pre=[AuxTask(**done)],
        post=[AuxTask(**done)],
        sidecars=[Sidecar(**done)],
    )


def test_every_templated_field_of_a_sub_job_is_evaluated() -> None:
    webhook = WebhookDefinition(url="http://h/{{ inputs.x }}", headers={"H": "{{ secrets.k }}"})
    fields = {"inputs": {"i": "{{ inputs.x }}"}, "secrets": {"s": "{{ secrets.k }}"}, "webhooks": [webhook]}
    task = a_subjob(a_task("{{ inputs.i }}"), job_name="n{{ inputs.x }}", subjob=fields)
    subjob = evaluate_task(task, CONTEXT).subjob
    assert subjob is not None
    assert (subjob.name, subjob.inputs, subjob.secrets) == ("n1", {"i": "1"}, {"s": "s3"})
    assert subjob.webhooks == [WebhookDefinition(url="http://h/1", headers={"H": "s3"})]
    assert subjob.tasks == [a_task("{{ inputs.i }}")]


def test_other_fields_are_taken_as_they_are() -> None:
    text = "{{ nope }}"
    task = TaskDefinition(
        name="t",
        run=text,
        entrypoint=[text],
        files={"f": text},
        workdir=text,
        timeout=text,
        tags=[text],
        description=text,
    )
    assert evaluate_task(task, CONTEXT) == task


def test_children_wait_for_their_own_turn() -> None:
    parallel = a_parallel(a_task("{{ nope }}"))
    each = an_each("{{ nope }}", a_task("{{ nope }}"))
    assert evaluate_task(parallel, CONTEXT) == parallel
    assert evaluate_task(each, CONTEXT) == each


@pytest.mark.parametrize(
    ("template", "text"),
    [
        pytest.param("{{ inputs.nul }}", "ab", id="NUL"),
        pytest.param("é{{ inputs.nul }}", "éab", id="NUL beside other letters"),
        pytest.param("{{ inputs.half }}", "a?b", id="half of a surrogate pair"),
    ],
)
def test_what_no_database_holds_is_left_out_of_evaluated_text(template: str, text: str) -> None:
    assert text_of(template, CONTEXT | {"inputs": {"nul": "a\0b", "half": "a\ud800b"}}) == text


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(a_job(a_task("t", env={"E": "{{ inputs.x }}"})), id="task"),
        pytest.param(a_job(a_parallel(a_task("t", env={"E": "{{ inputs.x }}"}))), id="parallel child"),
        pytest.param(a_job(an_each("{{ [inputs.x] }}", a_task("t", env={"E": "{{ item.value }}"}))), id="each child"),
        pytest.param(
            a_job(an_each("{{ [inputs.x] }}", a_parallel(a_task("t", env={"E": "{{ item.value }}"})))), id="nested"
        ),
        pytest.param(
            a_job(a_subjob(a_task("t", env={"E": "{{ inputs.y }}"}), subjob={"inputs": {"y": "{{ inputs.x }}"}})),
            id="sub-job",
        ),
    ],
)
def test_evaluated_text_is_never_evaluated_again(job: JobDefinition) -> None:
    job = JobDefinition(name=job.name, tasks=job.tasks, inputs={"x": THEFT}, secrets={"key": "hunter2"})
    assert Play(job).spec("t").env == {"E": THEFT}


def test_a_result_that_looks_like_a_template_stays_text() -> None:
    job = a_job(
        a_task("a", var="x"), a_task("b", cmd=["{{ tasks.x }}"]), output="{{ tasks.x }}", secrets={"key": "hunter2"}
    )
    play = Play(job)
    play.complete("a", result=THEFT)
    assert play.spec("b").cmd == [THEFT]
    play.complete("b")
    assert play.job.result == THEFT


def test_a_retry_and_a_restart_see_no_evaluated_text_either() -> None:
    policy = Retry(limit=1)
    task = a_task("a", env={"E": "{{ inputs.x }}"}, retry=policy)
    play = Play(a_job(task, inputs={"x": THEFT}, secrets={"key": "hunter2"}))
    play.fail("a")
    play.retry("a")
    assert play.spec("a").env == {"E": THEFT}
    play.fail("a")
    play.restart()
    assert [task.spec.env for task in play.instances("a") if task.spec] == [{"E": THEFT}] * 3


@pytest.mark.parametrize("detached", [False, True], ids=["attached", "detached"])
def test_a_sub_job_sees_all_four_namespaces_of_its_own(detached: bool) -> None:
    own = {"inputs": {"x": "own"}, "secrets": {"k": "s"}}
    inner = a_subjob(a_task("t", cmd=[ALL_FOUR]), detached=detached, subjob=own)
    play = Play(a_job(inner, inputs={"x": "outer", "y": "outer"}, secrets={"k": "outer"}))
    assert play.spec("t").cmd == [f"{play.sub_job().id}/sub/own/s/"]


def test_a_job_sees_all_four_namespaces_when_it_has_none() -> None:
    play = Play(a_job(a_task("t", cmd=[ALL_FOUR])))
    assert play.spec("t").cmd == ["job/job///"]


def test_a_later_task_sees_all_four_namespaces() -> None:
    play = Play(a_job(a_task("a"), a_task("b", cmd=[ALL_FOUR]), inputs={"x": "1"}, secrets={"k": "2"}))
    play.complete("a")
    assert play.spec("b").cmd == ["job/job/1/2/"]


def test_namespaces_read_whole_and_by_computed_names_are_there() -> None:
    job = a_job(
        a_task("a"), a_task("b", cmd=["{{ inputs['x-y'] }}{{ inputs[inputs.name] }}{{ len(secrets) }}"]),
        inputs={"x-y": "1", "name": "other", "other": "2"}, secrets={"k": "2"},
    )  # fmt: skip
    play = Play(job)
    play.complete("a")
    assert play.spec("b").cmd == ["121"]


def test_an_evaluated_var_names_the_result() -> None:
    play = Play(
        a_job(an_each("{{ ['a','b'] }}", a_task("t {{ item.value }}", var="v{{ item.index }}")), a_task("next"))
    )
    play.complete("t a", result="A")
    play.complete("t b", result="B")
    assert play.context() == {"v0": "A", "v1": "B"}


@pytest.mark.parametrize("image", ["{{ inputs.image }}", "{{ inputs.blank }}"], ids=["empty", "blank"])
@pytest.mark.parametrize("place", ["task", "pre", "post", "sidecar"])
def test_an_image_that_turns_out_to_be_none_is_an_error_and_never_a_shell(image: str, place: str) -> None:
    step = AuxTask(name="step", image=image, run="x")
    task = {
        "task": TaskDefinition(name="t", image=image, run="x"),
        "pre": TaskDefinition(name="t", image="i", run="x", pre=[step]),
        "post": TaskDefinition(name="t", image="i", run="x", post=[step]),
        "sidecar": TaskDefinition(name="t", image="i", run="x", sidecars=[Sidecar(name="s", image=image)]),
    }[place]
    with pytest.raises(ExpressionError, match="is empty once evaluated"):
        evaluate_task(task, {"inputs": {"image": "", "blank": " "}})
