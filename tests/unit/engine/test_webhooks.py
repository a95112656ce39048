"""What a webhook gets: its condition, its headers, its body."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.builders import START
from tork.account import User
from tork.job import JobState, JobSummary
from tork.task import TaskState, TaskSummary
from torkd.engine.changes import Announce
from torkd.engine.hook_events import HookEvent
from torkd.engine.reads import Reads
from torkd.engine.rows import JobRow, TaskKind, TaskRow
from torkd.engine.webhooks import HookedJob, StoredWebhook, Told, header_reads, tell
from torkd.hooks.redact import Redactor

SECRET = "hush-hush-9"
JOB = JobRow(
    id="j1", root_id="j1", name="nightly", state=JobState.RUNNING, position=2, task_count=3, progress=50.0,
    created_by="u1", started_at=START,
)  # fmt: skip
SUMMARY = JobSummary(
    id="j1", name="nightly", state=JobState.PENDING, created_at=START, created_by=User(username="ann"), position=0,
    task_count=3, tags=["a"], inputs={"size": "5", "text": f"<{SECRET}>"},
)  # fmt: skip
TASK = TaskRow(
    id="t1", job_id="j1", root_id="j1", position=2, kind=TaskKind.REGULAR, state=TaskState.COMPLETED, name="build",
    var="out", result="fine", completed_at=START,
)  # fmt: skip


def hook(event: str = "", **fields: Any) -> StoredWebhook:
    return StoredWebhook(url=fields.pop("url", "http://h/1"), event=event, **fields)


def told(
    *webhooks: StoredWebhook,
    event: HookEvent = HookEvent.JOB_STATE,
    job: JobRow = JOB,
    task: TaskRow | None = None,
    redactor: Redactor | None = None,
    **context: dict[str, str],
) -> Told:
    if event.is_about_task:
        task = task or TASK
    known = HookedJob(summary=SUMMARY, webhooks=webhooks, context=context, secrets=[SECRET])
    tasks = {"t1": TaskSummary(description="what for", tags=["x"], created_at=START, error="of before")}
    return tell([Announce(event, job, task)], {"j1": known}, tasks, redactor or Redactor())


def only(told: Told) -> Any:
    (delivery,) = told.deliveries
    assert told.troubles == []
    return delivery


def test_a_body_is_the_job_in_few_words_as_of_the_change() -> None:
    body = json.loads(only(told(hook())).request.body)
    assert body == {
        "id": "j1", "createdBy": {"username": "ann"}, "inputs": {"size": "5", "text": "<[REDACTED]>"}, "name": "nightly",
        "tags": ["a"], "state": "RUNNING", "createdAt": "2026-01-02T03:04:05Z", "startedAt": "2026-01-02T03:04:05Z",
        "position": 2, "taskCount": 3, "progress": 50,
    }  # fmt: skip


def test_a_body_about_a_task_is_the_task_in_few_words() -> None:
    body = json.loads(only(told(hook("task.StateChange"), event=HookEvent.TASK_STATE)).request.body)
    assert body == {
        "id": "t1", "jobId": "j1", "position": 2, "name": "build", "description": "what for", "state": "COMPLETED",
        "createdAt": "2026-01-02T03:04:05Z", "completedAt": "2026-01-02T03:04:05Z", "error": "of before",
        "result": "fine", "var": "out", "tags": ["x"],
    }  # fmt: skip


def test_a_restart_empties_the_error_and_the_result_that_were_known() -> None:
    known = HookedJob(summary=replace(SUMMARY, error="boom", result="r"), webhooks=[hook()], context={})
    row = replace(JOB, error="", result="")
    body = json.loads(only(tell([Announce(HookEvent.JOB_STATE, row)], {"j1": known}, {}, Redactor())).request.body)
    assert "error" not in body
    assert "result" not in body


CONDITIONS = {
    "": True,
    "true": True,
    "1 == 2": False,
    "{{ job.State == 'RUNNING' }}": True,
    "job.State == 'COMPLETED'": False,
    "job.state == 'RUNNING' && job.TaskCount == 3 && job.taskCount == 3": True,
    "job.ID == 'j1' && job.id == 'j1' && job.ParentID == ''": True,
    "job.CreatedBy.Username == 'ann' && job.createdBy.username == 'ann'": True,
    "job.Progress > 49 && job.Position == 2": True,
    "int(job.Inputs.size) == 5 && 'a' in job.Tags": True,
    "job.CompletedAt == nil && job.StartedAt == job.CreatedAt": True,
    "job.Error == '' && job.Result == '' && job.Schedule == nil && job.FailedAt == nil && job.Description == ''": True,
}


@pytest.mark.parametrize(("condition", "is_sent"), CONDITIONS.items(), ids=lambda value: str(value)[:40])
def test_a_condition_decides_by_the_job_as_of_the_change(condition: str, is_sent: bool) -> None:
    outcome = told(hook(if_=condition))
    assert (len(outcome.deliveries) == 1, outcome.troubles) == (is_sent, [])


TASK_CONDITIONS = {
    "task.State == 'COMPLETED' && job.State == 'RUNNING'": True,
    "task.ID == 't1' && task.JobID == 'j1' && task.jobId == 'j1' && task.Var == 'out' && task.Result == 'fine'": True,
    "task.Name == 'deploy'": False,
    "task.Position == 2 && task.Progress == 0 && 'x' in task.Tags && task.Description == 'what for'": True,
    "task.CreatedAt != nil && task.ScheduledAt == nil && task.StartedAt == nil && task.CompletedAt != nil": True,
    "task.Error == 'of before'": True,
}


@pytest.mark.parametrize(("condition", "is_sent"), TASK_CONDITIONS.items(), ids=lambda value: str(value)[:40])
def test_a_condition_of_a_task_event_sees_the_task_too(condition: str, is_sent: bool) -> None:
    outcome = told(hook("task.StateChange", if_=condition), event=HookEvent.TASK_STATE)
    assert (len(outcome.deliveries) == 1, outcome.troubles) == (is_sent, [])


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("job.Nope == 1", "there is no field Nope"),
        ("task.State == 'RUNNING'", "unknown name task"),
        ("secrets.k == ''", "unknown name secrets"),
        ("'yes'", "neither true nor false"),
        ("nil", "neither true nor false"),
        ("int(job.Inputs.text) > 1", "webhooks[0].if can't be decided, so it is not told of job.StateChange"),
    ],
)
def test_a_condition_that_fails_or_is_no_yes_or_no_sends_nothing_and_is_told(condition: str, why: str) -> None:
    outcome = told(hook(if_=condition))
    assert outcome.deliveries == []
    assert outcome.troubles[0].job_id == "j1"
    assert why in outcome.troubles[0].about
    assert SECRET not in outcome.troubles[0].about


def test_headers_read_the_context_of_the_job_secrets_included() -> None:
    headers = {"Authorization": "Bearer {{ secrets.key }}", "X-Job": "{{ job.id }}/{{ job.name }}", "X-As-Is": "{ }"}
    delivery = only(told(hook(headers=headers), secrets={"key": SECRET}))
    assert delivery.request.headers == {"Authorization": f"Bearer {SECRET}", "X-Job": "j1/nightly", "X-As-Is": "{ }"}
    assert SECRET not in delivery.request.body


@pytest.mark.parametrize("value", ["{{ nope.x }}", "{{ 1 / 'x' }}", "{{ inputs.lines }}"])
def test_a_header_that_fails_is_sent_empty_and_the_rest_as_it_should_be(value: str) -> None:
    outcome = told(
        hook(headers={"X-Bad": value, "X-Good": "{{ inputs.size }}"}), inputs={"lines": "a\r\nX: y", "size": "5"}
    )
    assert outcome.deliveries[0].request.headers == {"X-Bad": "", "X-Good": "5"}
    assert "webhooks[0].headers.X-Bad is sent empty with job.StateChange" in outcome.troubles[0].about


def test_what_came_out_of_a_template_is_not_evaluated_again() -> None:
    sub_job = hook(headers={"X": "{{ secrets.key }}"}, evaluated=True)
    assert only(told(sub_job, secrets={"key": SECRET})).request.headers == {"X": "{{ secrets.key }}"}
    assert header_reads([sub_job]).keys == frozenset()


def test_only_what_headers_read_is_asked_for() -> None:
    reads = header_reads([hook(headers={"A": "{{ secrets.key }}", "B": "{{ tasks[inputs.x] }}", "C": "plain"})])
    assert reads == Reads(frozenset({"secrets.key", "inputs.x"}), frozenset({"tasks"}))


def test_each_webhook_that_asks_for_the_event_gets_a_request_in_the_order_of_the_list() -> None:
    hooks = [
        hook(url="http://h/1"),
        hook("job.Progress"),
        hook(url="http://h/2"),
        hook("job.StateChange", url="http://h/1"),
    ]
    deliveries = told(*hooks).deliveries
    assert [(one.request.url, one.lane, one.number) for one in deliveries] == [
        ("http://h/1", 0, 0), ("http://h/2", 2, 1), ("http://h/1", 0, 2),
    ]  # fmt: skip


def test_addresses_of_one_server_have_one_target() -> None:
    hooks = [hook(url="http://h/1"), hook(url="http://h/2"), hook(url="http://h:81/1"), hook(url="https://h/1")]
    targets = [delivery.target for delivery in told(*hooks).deliveries]
    assert targets[0] == targets[1]
    assert len(set(targets)) == 3


def test_an_address_that_is_none_is_told_and_not_sent_to() -> None:
    outcome = told(hook(url="http://h:port/"))
    assert (outcome.deliveries, [trouble.about for trouble in outcome.troubles]) == (
        [], ["webhooks[0] is not told of job.StateChange: its url is no address"],
    )  # fmt: skip


def test_a_key_that_sounds_secret_loses_its_value_in_a_body_too() -> None:
    known = HookedJob(summary=replace(SUMMARY, inputs={"DB_PASSWORD": "x"}), webhooks=[hook()], context={})
    delivery = only(tell([Announce(HookEvent.JOB_STATE, JOB)], {"j1": known}, {}, Redactor()))
    assert json.loads(delivery.request.body)["inputs"] == {"DB_PASSWORD": "[REDACTED]"}


def test_a_job_that_is_gone_is_not_told_of() -> None:
    assert tell([Announce(HookEvent.JOB_STATE, JOB)], {}, {}, Redactor()).deliveries == []
