"""What a submission is refused for: a row for every rule, with the place it names; and what only looks wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.definition.builders import broken_rules, problems_of, problems_of_schedule, yaml_task
from tork.account import PermissionDefinition
from tork.definition import read_job, read_scheduled_job, validate_job
from tork.errors import DefinitionError
from tork.job import Defaults, JobDefinition, Schedule, Wait
from tork.task import (
    AutoDelete,
    AuxTask,
    Each,
    Limits,
    Mount,
    Parallel,
    Probe,
    Retry,
    Sidecar,
    SubJob,
    TaskDefinition,
    WebhookDefinition,
)

A_TASK = TaskDefinition(name="t")


def a_job(**fields: Any) -> JobDefinition:
    return JobDefinition(**{"name": "j", "tasks": [A_TASK], **fields})


def with_task(**fields: Any) -> JobDefinition:
    return a_job(tasks=[TaskDefinition(**{"name": "t", **fields})])


def with_probe(**fields: Any) -> JobDefinition:
    probe = Probe(**{"path": "/", "port": 80, **fields})
    return with_task(sidecars=[Sidecar(name="s", probe=probe)])


def with_mount(**fields: Any) -> JobDefinition:
    return with_task(mounts=[Mount(**fields)])


def with_each(**fields: Any) -> JobDefinition:
    return with_task(each=Each(**{"list": "[1]", "task": TaskDefinition(), **fields}))


def with_subjob(**fields: Any) -> JobDefinition:
    return with_task(subjob=SubJob(**{"name": "s", "tasks": [A_TASK], **fields}))


def beside_parallel(**fields: Any) -> JobDefinition:
    return with_task(parallel=Parallel(tasks=[A_TASK]), **fields)


BROKEN: dict[str, tuple[JobDefinition, list[tuple[str, str]]]] = {
    "job-name": (a_job(name=""), [("required", "name")]),
    "job-tasks": (a_job(tasks=[]), [("required", "tasks")]),
    "job-output": (a_job(output="hello world"), [("expr", "output")]),
    "job-output-group": (a_job(output="{{ 1 + }}"), [("expr", "output")]),
    "wait-timeout": (a_job(wait=Wait()), [("required", "wait.timeout")]),
    "wait-duration": (a_job(wait=Wait(timeout="1d")), [("duration", "wait.timeout")]),
    "auto-delete": (a_job(auto_delete=AutoDelete(after="soon")), [("duration", "autoDelete.after")]),
    "permission-none": (a_job(permissions=[PermissionDefinition()]), [("roleoruser", "permissions[0]")]),
    "permission-both": (a_job(permissions=[PermissionDefinition(user="a", role="b")]), [("roleoruser", "permissions[0]")]),
    "defaults-timeout": (a_job(defaults=Defaults(timeout="x")), [("duration", "defaults.timeout")]),
    "defaults-queue": (a_job(defaults=Defaults(queue="jobs")), [("queue", "defaults.queue")]),
    "defaults-priority": (a_job(defaults=Defaults(priority=10)), [("max", "defaults.priority")]),
    "defaults-retry": (a_job(defaults=Defaults(retry=Retry())), [("required", "defaults.retry.limit")]),
    "webhook-url": (a_job(webhooks=[WebhookDefinition()]), [("required", "webhooks[0].url")]),
    "webhooks-many": (a_job(webhooks=[WebhookDefinition(url="http://x")] * 101), [("max", "webhooks")]),
    "webhook-header-name": (
        a_job(webhooks=[WebhookDefinition(url="http://x", headers={"X y": "z"})]),
        [("header", "webhooks[0].headers['X y']")],
    ),
    "webhook-header-value": (
        a_job(webhooks=[WebhookDefinition(url="http://x", headers={"X": "a\r\nY: z"})]),
        [("header", "webhooks[0].headers.X")],
    ),
    "webhook-if": (a_job(webhooks=[WebhookDefinition(url="http://x", if_="(")]), [("expr", "webhooks[0].if")]),
    "task-name": (a_job(tasks=[TaskDefinition()]), [("required", "tasks[0].name")]),
    "task-if": (with_task(if_="{{ ( }}"), [("expr", "tasks[0].if")]),
    "task-var": (with_task(var="v" * 65), [("max", "tasks[0].var")]),
    "task-workdir": (with_task(workdir="w" * 257), [("max", "tasks[0].workdir")]),
    "task-timeout": (with_task(timeout="3 days"), [("duration", "tasks[0].timeout")]),
    "task-timeout-negative": (with_task(timeout="-1s"), [("duration", "tasks[0].timeout")]),
    "task-timeout-huge": (with_task(timeout="9" * 200 + "h"), [("duration", "tasks[0].timeout")]),
    "task-priority-low": (with_task(priority=-1), [("min", "tasks[0].priority")]),
    "task-priority-high": (with_task(priority=10), [("max", "tasks[0].priority")]),
    "queue-private": (with_task(queue="x-node"), [("queue", "tasks[0].queue")]),
    **{
        f"queue-{name}": (with_task(queue=name), [("queue", "tasks[0].queue")])
        for name in "pending started completed error heartbeat jobs logs progress redeliveries".split()  # noqa: SIM905 - the list as the reference prints it
    },
    "retry-limit": (with_task(retry=Retry()), [("required", "tasks[0].retry.limit")]),
    "retry-limit-high": (with_task(retry=Retry(limit=11)), [("max", "tasks[0].retry.limit")]),
    "retry-limit-low": (with_task(retry=Retry(limit=-1)), [("min", "tasks[0].retry.limit")]),
    "retry-delay": (with_task(retry=Retry(limit=1, initial_delay="x")), [("duration", "tasks[0].retry.initialDelay")]),
    "retry-delay-long": (with_task(retry=Retry(limit=1, initial_delay="301s")), [("max", "tasks[0].retry.initialDelay")]),
    "retry-factor": (with_task(retry=Retry(limit=1, scaling_factor=10.5)), [("max", "tasks[0].retry.scalingFactor")]),
    "retry-factor-negative": (with_task(retry=Retry(limit=1, scaling_factor=-1)), [("min", "tasks[0].retry.scalingFactor")]),
    "pre-name": (with_task(pre=[AuxTask()]), [("required", "tasks[0].pre[0].name")]),
    "post-timeout": (with_task(post=[AuxTask(name="p", timeout="x")]), [("duration", "tasks[0].post[0].timeout")]),
    "sidecar-name": (with_task(sidecars=[Sidecar()]), [("required", "tasks[0].sidecars[0].name")]),
    "probe-path": (with_probe(path=""), [("required", "tasks[0].sidecars[0].probe.path")]),
    "probe-path-long": (with_probe(path="/" * 257), [("max", "tasks[0].sidecars[0].probe.path")]),
    "probe-port": (with_probe(port=0), [("required", "tasks[0].sidecars[0].probe.port")]),
    "probe-port-low": (with_probe(port=-1), [("min", "tasks[0].sidecars[0].probe.port")]),
    "probe-port-high": (with_probe(port=65536), [("max", "tasks[0].sidecars[0].probe.port")]),
    "probe-timeout": (with_probe(timeout="x"), [("duration", "tasks[0].sidecars[0].probe.timeout")]),
    "mount-type": (with_mount(source="?"), [("typerequired", "tasks[0].mounts[0].type")]),
    "volume-source": (with_mount(type="volume", source="/a"), [("sourcenotempty", "tasks[0].mounts[0].source")]),
    "volume-target": (with_mount(type="volume"), [("targetrequired", "tasks[0].mounts[0].target")]),
    "bind-source": (with_mount(type="bind", target="?"), [("sourcerequired", "tasks[0].mounts[0].source")]),
    "source-characters": (with_mount(type="bind", source="/a?", target="?"), [("invalidsource", "tasks[0].mounts[0].source")]),
    "target-characters": (with_mount(type="mine", target="/a:b"), [("invalidtarget", "tasks[0].mounts[0].target")]),
    "target-tork": (with_mount(type="volume", target="/tork"), [("invalidtarget", "tasks[0].mounts[0].target")]),
    "target-line-break": (with_mount(type="volume", target="/a\n"), [("invalidtarget", "tasks[0].mounts[0].target")]),
    "each-list": (with_each(list=""), [("required", "tasks[0].each.list")]),
    "each-list-expr": (with_each(list="1 2"), [("expr", "tasks[0].each.list")]),
    "each-task": (with_each(task=None), [("required", "tasks[0].each.task")]),
    "each-task-inside": (with_each(task=TaskDefinition(priority=11)), [("max", "tasks[0].each.task.priority")]),
    "each-concurrency-low": (with_each(concurrency=-1), [("min", "tasks[0].each.concurrency")]),
    "each-concurrency-high": (with_each(concurrency=100_000), [("max", "tasks[0].each.concurrency")]),
    "each-on-failure": (with_each(on_failure="ignore"), [("oneof", "tasks[0].each.onFailure")]),
    "parallel-on-failure": (
        with_task(parallel=Parallel(tasks=[A_TASK], on_failure="Stop")),
        [("oneof", "tasks[0].parallel.onFailure")],
    ),
    "parallel-tasks": (with_task(parallel=Parallel()), [("required", "tasks[0].parallel.tasks")]),
    "parallel-inside": (
        with_task(parallel=Parallel(tasks=[A_TASK, TaskDefinition(retry=Retry())])),
        [("required", "tasks[0].parallel.tasks[1].retry.limit")],
    ),
    "subjob-name": (with_subjob(name=""), [("required", "tasks[0].subjob.name")]),
    "subjob-tasks": (with_subjob(tasks=[]), [("required", "tasks[0].subjob.tasks")]),
    "subjob-inside": (
        with_subjob(tasks=[TaskDefinition(name="t", if_="(")]),
        [("expr", "tasks[0].subjob.tasks[0].if")],
    ),
    "subjob-inside-name": (with_subjob(tasks=[TaskDefinition()]), [("required", "tasks[0].subjob.tasks[0].name")]),
    "subjob-auto-delete": (with_subjob(auto_delete=AutoDelete(after="x")), [("duration", "tasks[0].subjob.autoDelete.after")]),
    "subjob-webhooks-many": (
        with_subjob(webhooks=[WebhookDefinition(url="http://x")] * 101),
        [("max", "tasks[0].subjob.webhooks")],
    ),
    "subjob-webhook": (with_subjob(webhooks=[WebhookDefinition(url="://x")]), [("url", "tasks[0].subjob.webhooks[0].url")]),
    "parallel-and-each": (
        with_task(parallel=Parallel(tasks=[A_TASK]), each=Each(list="[]", task=A_TASK)),
        [("paralleloreach", "tasks[0].each")],
    ),
    "parallel-and-subjob": (
        with_task(parallel=Parallel(tasks=[A_TASK]), subjob=SubJob(name="s", tasks=[A_TASK])),
        [("parallelorsubjob", "tasks[0].subjob")],
    ),
    "each-and-subjob": (
        with_task(each=Each(list="[]", task=A_TASK), subjob=SubJob(name="s", tasks=[A_TASK])),
        [("eachorsubjob", "tasks[0].subjob")],
    ),
    **{
        f"composite-{key}": (beside_parallel(**{key: value}), [("invalidcompositetask", f"tasks[0].{key}")])
        for key, value in {
            "image": "i", "cmd": ["c"], "entrypoint": ["e"], "run": "r", "env": {"A": "b"}, "queue": "q",
            "pre": [AuxTask(name="p")], "post": [AuxTask(name="p")], "mounts": [Mount(type="tmpfs", target="/t")],
            "retry": Retry(limit=1), "limits": Limits(cpus="1"), "timeout": "1s",
        }.items()
    },
    "schedule-cron": (a_job(schedule=Schedule()), [("required", "schedule.cron")]),
    "schedule-cron-wrong": (a_job(schedule=Schedule(cron="99 99 99 99 99")), [("cron", "schedule.cron")]),
    "schedule-overlap": (
        a_job(schedule=Schedule(cron="@daily", overlap="often")),
        [("oneof", "schedule.overlap")],
    ),
    "schedule-catchup": (a_job(schedule=Schedule(cron="@daily", catchup="two")), [("oneof", "schedule.catchup")]),
    "schedule-wait": (a_job(schedule=Schedule(cron="@daily"), wait=Wait(timeout="1s")), [("schedule", "wait")]),
}  # fmt: skip


@pytest.mark.parametrize(("job", "broken"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_rule_is_told_with_its_place(job: JobDefinition, broken: list[tuple[str, str]]) -> None:
    assert broken_rules(job) == broken


@pytest.mark.parametrize(("job", "broken"), BROKEN.values(), ids=BROKEN.keys())
def test_every_message_says_what_would_be_right(job: JobDefinition, broken: list[tuple[str, str]]) -> None:
    for problem in validate_job(job):
        assert "right would be" in problem.message or problem.rule == "expr"
        assert "\n" not in str(problem)


RIGHT: dict[str, JobDefinition] = {
    "plain": a_job(),
    "output-word": a_job(output="done"),
    "output-second-group": a_job(output="{{ 1 }} {{ 1 + }}"),
    "zero-timeout": with_task(timeout="0"),
    "fractional-timeout": with_task(timeout="1.5h"),
    "longest-var": with_task(var="v" * 64),
    "longest-workdir": with_task(workdir="w" * 256),
    "priority-9": with_task(priority=9),
    "queue-template": with_task(queue="{{ inputs.queue }}"),
    "queue-like-another": with_task(queue="jobs2"),
    "retry-most": with_task(retry=Retry(limit=10, initial_delay="5m", scaling_factor=10)),
    "unknown-mount-type": with_mount(type="nfs"),
    "tmpfs": with_mount(type="tmpfs", target="/tmp"),
    "bind": with_mount(type="bind", source="/a b/c_d-e=f.g", target="/x"),
    "below-tork": with_mount(type="volume", target="/tork/x"),
    "each-without-names": with_each(concurrency=99_999),
    "parallel-without-names": with_task(parallel=Parallel(tasks=[TaskDefinition(run="true")])),
    "subjob-id-and-output": with_subjob(id="x", output="hello world", detached=True),
    "subjob-templated-webhook": with_subjob(webhooks=[WebhookDefinition(url="{{ inputs.hook }}")]),
    "composite-with-what-it-may-have": beside_parallel(
        description="d", var="v", if_="true", tags=["a"], priority=1, networks=["n"], files={"a": "b"}, workdir="/w",
        gpus="all", sidecars=[Sidecar(name="s")],
    ),
    "limits-of-any-text": with_task(limits=Limits(cpus="many", memory="much")),
    "permission-user": a_job(permissions=[PermissionDefinition(user="a")]),
    "webhooks-of-all-kinds": a_job(webhooks=[WebhookDefinition(url="http://x")] * 100),
    "unknown-event": a_job(webhooks=[WebhookDefinition(url="http://x", event="job.Party")]),
    "scheduled": a_job(schedule=Schedule(cron="@every 5m")),
    "on-failure": with_task(
        parallel=Parallel(on_failure="continue", tasks=[with_each(on_failure="stop").tasks[0]])
    ),
    "scheduled-with-policies": a_job(schedule=Schedule(cron="@every 5m", overlap="replace", catchup="all")),
}  # fmt: skip


@pytest.mark.parametrize("job", RIGHT.values(), ids=RIGHT.keys())
def test_what_is_allowed_has_no_problem(job: JobDefinition) -> None:
    assert validate_job(job) == []


@pytest.mark.parametrize(
    "url",
    ["://x", "ftp://x", "x", "http://", "http:///path", "http://a:port/", "http://[::1", "http://a b", "http://a\x07"],
)
def test_a_webhook_address_that_is_none_is_refused(url: str) -> None:
    assert broken_rules(a_job(webhooks=[WebhookDefinition(url=url)])) == [("url", "webhooks[0].url")]


@pytest.mark.parametrize("url", ["http://x", "https://a.b:8443/c?d=e#f", "http://[::1]:80/", "HTTPS://user:pw@host"])
def test_a_webhook_address_is_accepted(url: str) -> None:
    assert validate_job(a_job(webhooks=[WebhookDefinition(url=url)])) == []


def nested(levels: int) -> TaskDefinition:
    task = A_TASK
    for _ in range(levels):
        task = TaskDefinition(name="t", parallel=Parallel(tasks=[task]))
    return task


def test_composites_nest_fifty_deep_and_no_deeper() -> None:
    assert validate_job(a_job(tasks=[nested(50)])) == []
    assert [rule for rule, _ in broken_rules(a_job(tasks=[nested(51)]))] == ["nesting"]
    assert [rule for rule, _ in broken_rules(a_job(tasks=[nested(900)]))] == ["nesting"]


def test_the_expressions_of_one_job_may_not_cost_unbounded_time() -> None:
    tasks = [TaskDefinition(name="t", if_=f"'{index}{'x' * 60_000}' == ''") for index in range(4)]
    assert {rule for rule, _ in broken_rules(a_job(tasks=tasks))} == {"expr"}


SCHEDULED = "name: j\ntasks: [{name: t}]\nschedule:\n  cron: '0 9 * * MON-FRI'\n"


def test_a_schedule_is_read_where_it_is_allowed() -> None:
    for job in (read_job(SCHEDULED), read_scheduled_job(SCHEDULED)):
        assert job.schedule is not None
        assert job.schedule.cron == "0 9 * * MON-FRI"


def test_a_schedule_is_an_unknown_key_where_jobs_start_at_once() -> None:
    assert problems_of(SCHEDULED, schedule="refused") == [
        "4:3: schedule: is an unknown key here (right would be without it: only scheduled jobs have one, which POST /scheduled-jobs takes)"
    ]
    assert problems_of(
        '{"name": "j", "tasks": [{"name": "t"}], "schedule": {"cron": "@daily"}}', format="json", schedule="refused"
    )


def test_a_scheduled_job_needs_its_schedule_and_can_not_wait() -> None:
    assert problems_of_schedule("name: j\ntasks: [{name: t}]\nwait: {timeout: 1s}") == [
        "1:1: schedule: is missing (right would be e.g. cron: '@daily' under it)"
    ]
    assert problems_of_schedule(SCHEDULED + "wait: {timeout: 1s}\n") == [
        "5:7: wait: has no meaning beside schedule (right would be one of them)"
    ]


@pytest.mark.parametrize(
    "field", ["probe: {path: /, port: 80}", "attempts: 1", "limits: {cpu: 1}", "pre: [{name: p, var: v}]"]
)
def test_keys_of_elsewhere_are_unknown(field: str) -> None:
    (problem,) = problems_of(yaml_task(field))
    assert "unknown key" in problem


@pytest.mark.parametrize("queue", ["x-{{ secrets.q }}", "{{ secrets.q }}", "a{{ upper(secrets['q']) }}"])
def test_a_queue_that_reads_secrets_is_refused(queue: str) -> None:
    job = {"name": "n", "secrets": {"q": "v"}, "tasks": [{"name": "t", "run": "x", "queue": queue}]}
    with pytest.raises(DefinitionError, match="would show a secret"):
        read_job(json.dumps(job), format="json")
