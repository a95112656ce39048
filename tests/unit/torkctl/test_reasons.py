"""Why a job or task is as it is, decided from what was seen: a table of sentences, and what they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tests.support.fake_api import FakeApi
from tests.support.torkctl_runs import Torkctl
from tork.account import AuditEntry
from tork.job import JobState, JobSummary
from tork.node import Node, NodeStatus, Queue
from tork.schedule import ScheduledJobSummary, ScheduleState
from torkctl.client.documents import HealthReport, IndicatorReport, JobReport, TaskReport
from torkctl.output.reasons import reason_lines
from torkctl.reasons import Evidence, Facts, Reason, Subject, explain, explain_schedule
from torkctl.reasons.decisive import decisive_below, decisive_task
from torkctl.reasons.running import image_pull

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
JOB = "a" * 32
IMAGE = "debian:12"
AWAY = HealthReport(status="DOWN", indicators={"broker": IndicatorReport(status="DOWN", error="connection refused")})


def a_task(**fields: Any) -> TaskReport:
    seen = {"id": "t1", "jobId": JOB, "name": "build", "state": "SCHEDULED", "position": 1, "createdAt": NOW, **fields}
    return msgspec.convert(seen, TaskReport)


def a_job(*execution: TaskReport, **fields: Any) -> JobReport:
    job = JobReport(id=JOB, name="etl", state=JobState.RUNNING, created_at=NOW, position=1, task_count=1)
    return msgspec.structs.replace(job, execution=list(execution), **fields)


def seen(task: TaskReport | None, *others: TaskReport, job: JobReport | None = None, **more: Any) -> Facts:
    """Asked about the task, or about the job without one."""
    job = job or a_job(*([task] if task else []), *others)
    subject = Subject(kind="task", id=task.id) if task else Subject(kind="job", id=job.id)
    state = task.state.value if task and task.state else job.state.value
    return Facts(now=NOW, subject=subject, state=state, job=job, task=task, **more)


def a_queue(name: str = "default", size: int = 0, slots: int = 0) -> Queue:
    return Queue(name=name, size=size, subscribers=slots, unacked=0)


def a_worker(**fields: Any) -> Node:
    worker = Node(
        id="w1",
        name="alpha",
        started_at=NOW,
        cpu_percent=0,
        last_heartbeat_at=NOW - timedelta(seconds=80),
        queue="x-w1",
        status=NodeStatus.UP,
        task_count=2,
        version="1",
    )
    return msgspec.structs.replace(worker, **fields)


def retrying(attempts: int, **fields: Any) -> dict[str, Any]:
    return {"limit": 3, "attempts": attempts, "initialDelay": "10s", **fields}


def an_each(window: int) -> TaskReport:
    each = {"size": 9, "concurrency": window, "completions": 3}
    return a_task(id="p", name="fan", state="RUNNING", each=each)


def children(*states: str) -> list[TaskReport]:
    return [a_task(id=f"c{n}", parentId="p", state=state) for n, state in enumerate(states)]


HELD = a_task(id="held", name="next", parentId="p", state="CREATED")
GPU = a_task(queue="gpu")
RUNS = a_task(state="RUNNING", startedAt=NOW - timedelta(seconds=65), nodeId="w1", image=IMAGE)
FAILED = a_task(state="FAILED", error="exit code 7: boom\nbang", failedAt=NOW)
CANCELLED = a_task(id="t2", name="other", state="CANCELLED")
ACT = AuditEntry(id=1, at=NOW, username="ada", action="job.cancel", target=JOB, address="10.0.0.1")
AROUND = JobSummary(id="b" * 32, state=JobState.FAILED, created_at=NOW, position=1, error="no space")
STOPPED = a_job(state=JobState.CANCELLED, failed_at=NOW)
PULLING = f"{IMAGE}: 2 of 5 layers, 40 MB of 100 MB (40 %)"

SENTENCES: dict[str, tuple[Facts, str]] = {
    "no worker on the queue": (
        seen(GPU, queues=[a_queue("gpu", size=2), a_queue("default", slots=4), a_queue("jobs", slots=1)]),
        "no worker takes tasks from queue 'gpu', where task 'build' waits",
    ),
    "a queue nobody knows": (
        seen(GPU, queues=[]),
        "no worker takes tasks from queue 'gpu', where task 'build' waits",
    ),
    "all slots are busy": (
        seen(a_task(queue="default"), queues=[a_queue(size=7, slots=4)]),
        "all 4 slots for queue 'default' are busy: task 'build' waits for one (7 wait there)",
    ),
    "the only slot is busy": (
        seen(a_task(queue="default"), queues=[a_queue(size=1, slots=1)]),
        "the only slot for queue 'default' is busy: task 'build' waits for one (it is next)",
    ),
    "just being taken": (
        seen(a_task(queue="default"), queues=[a_queue(slots=4)]),
        "a worker is about to begin task 'build', from queue 'default'",
    ),
    "the broker is away": (
        seen(GPU, health=AWAY),
        "task 'build' waits for queue 'gpu', and the broker can't be reached: connection refused",
    ),
    "queues can't be seen": (seen(GPU), "task 'build' waits in queue 'gpu' for a worker"),
    "a retry that waits": (
        seen(a_task(state="PENDING", retry=retrying(2))),
        f"task 'build' waits for retry 2 of 3 at {(NOW + timedelta(seconds=20)).astimezone():%H:%M:%S} (in 20.0s)",
    ),
    "a retry that is due": (
        seen(a_task(state="PENDING", retry=retrying(1), createdAt=NOW - timedelta(minutes=1))),
        "task 'build' is due, and a coordinator is about to hand it out",
    ),
    "due while the broker is away": (
        seen(a_task(state="PENDING"), health=AWAY),
        "task 'build' is not in its queue yet, and the broker can't be reached: connection refused",
    ),
    "a full window": (
        seen(HELD, an_each(2), *children("RUNNING", "SCHEDULED", "COMPLETED")),
        "the concurrency window of task 'fan' is full (2 of 2 are under way), and task 'next' waits for its turn",
    ),
    "a window that has room": (
        seen(HELD, an_each(4), *children("RUNNING")),
        "task 'next' waits for its turn in task 'fan', of which 1 are under way",
    ),
    "runs": (seen(RUNS, nodes=[a_worker()]), "task 'build' has run for 1m05s on worker alpha"),
    "pulls its image": (
        seen(RUNS, nodes=[a_worker()], log_tail=[PULLING]),
        "task 'build' waits for its image on worker alpha: image pull at 40 %",
    ),
    "its worker is silent": (
        seen(RUNS, nodes=[a_worker(status=NodeStatus.OFFLINE, hostname="h1")]),
        "task 'build' runs on worker alpha on h1, which was last heard of 1m ago; another gets it when the lease is over",
    ),
    "its worker is gone": (
        seen(RUNS, nodes=[]),
        "task 'build' runs on worker w1, which was not heard of in the last minutes; another gets it when the lease is over",
    ),
    "a composite between its tasks": (
        seen(an_each(2)),
        "task 'fan' is making its tasks: 3 of 9 are done",
    ),
    "failed with a code": (seen(FAILED), "task 'build' failed with exit code 7"),
    "failed in a sub-job": (seen(FAILED, path=("deploy",)), "task 'deploy/build' failed with exit code 7"),
    "timed out": (
        seen(a_task(state="FAILED", error="task timed out after 5s")),
        "task 'build' timed out after 5s, which is its limit",
    ),
    "lost too often": (
        seen(a_task(state="FAILED", error="task redelivered too many times", redelivered=5)),
        "task 'build' was given up: its run was lost 6 times, as its worker was silent for a lease",
    ),
    "failed otherwise": (
        seen(a_task(state="FAILED", error="error pulling image: no:such: not found")),
        "task 'build' failed: error pulling image: no:such: not found",
    ),
    "failed without a word": (seen(a_task(state="FAILED")), "task 'build' failed: nothing says why"),
    "skipped": (
        seen(a_task(state="SKIPPED", **{"if": "false"})),
        "task 'build' was skipped, since its `if` came out as false",
    ),
    "skipped by somebody": (seen(a_task(state="SKIPPED")), "somebody skipped task 'build'"),
    "skipped for a reason": (
        seen(a_task(state="SKIPPED", reason="the disk is full")),
        "somebody skipped task 'build': the disk is full",
    ),
    "cancelled by somebody": (
        seen(None, job=STOPPED, cancellations=[ACT]),
        f"ada cancelled it at {NOW.astimezone():%H:%M:%S}",
    ),
    "cancelled, and nobody may see by whom": (
        seen(None, job=STOPPED),
        f"it was cancelled at {NOW.astimezone():%H:%M:%S}; by whom can't be seen",
    ),
    "cancelled with the failed job around it": (
        seen(None, job=STOPPED, cancellations=[], around=AROUND),
        "job bbbbbbbb, which it is a part of, failed: no space",
    ),
    "cancelled as another failed": (
        seen(CANCELLED, job=a_job(FAILED, CANCELLED, state=JobState.FAILED)),
        "task 'other' was cancelled with its job, since task 'build' failed with exit code 7",
    ),
    "cancelled with its job": (
        seen(CANCELLED, job=STOPPED, cancellations=[ACT]),
        f"task 'other' was cancelled with its job: ada cancelled it at {NOW.astimezone():%H:%M:%S}",
    ),
    "cancelled before a restart": (seen(CANCELLED), "task 'other' was cancelled before its job was restarted"),
    "a job nobody has begun": (
        seen(None, job=a_job(state=JobState.PENDING)),
        "no coordinator has begun it",
    ),
    "a job nobody can begin": (
        seen(None, job=a_job(state=JobState.PENDING), health=AWAY),
        "no coordinator has begun it, and the broker can't be reached: connection refused",
    ),
    "a job between two tasks": (
        seen(None, job=a_job(position=2, task_count=3)),
        "it is between two tasks: number 2 of 3 is being made",
    ),
    "a job that failed without a task": (
        seen(None, job=a_job(state=JobState.FAILED, error="output: unknown name 'x'")),
        "it failed: output: unknown name 'x'",
    ),
    "a job that went well": (
        seen(None, job=a_job(state=JobState.COMPLETED, started_at=NOW, completed_at=NOW + timedelta(seconds=3))),
        "it ended well after 3.0s",
    ),
}


@pytest.mark.parametrize(("facts", "sentence"), SENTENCES.values(), ids=SENTENCES)
def test_what_is_known_becomes_one_sentence(facts: Facts, sentence: str) -> None:
    assert explain(facts).because == sentence


def evidence(facts: Facts) -> dict[str, str]:
    return {one.about: one.says for one in explain(facts).evidence}


EVIDENCE: dict[str, tuple[Facts, str, str]] = {
    "queues with workers": (
        SENTENCES["no worker on the queue"][0],
        "queues with workers",
        "default",
    ),
    "the queue": (
        SENTENCES["all slots are busy"][0],
        "queue default",
        "7 waiting, 4 slots of workers, 0 taken and not confirmed",
    ),
    "workers": (seen(GPU, queues=[], nodes=[a_worker()]), "workers", "alpha UP, 2 running"),
    "no worker at all": (seen(GPU, queues=[], nodes=[]), "workers", "none was heard of in the last minutes"),
    "the server is down": (seen(GPU, health=HealthReport(status="DOWN")), "server", "DOWN"),
    "lost runs": (
        seen(a_task(redelivered=2)),
        "lost runs",
        "2: its worker was silent, and it was handed out again",
    ),
    "the run before": (
        seen(a_task(state="PENDING", retry=retrying(1)), a_task(id="t0", state="FAILED", error="e", failedAt=NOW)),
        "the run before",
        "e",
    ),
    "the run after": (
        seen(FAILED, a_task(id="t9", retry=retrying(1))),
        "tried again",
        "t9 SCHEDULED",
    ),
    "what was printed": (seen(FAILED, log_tail=["old"]), "end of its log", "boom\nbang"),
    "the log": (seen(a_task(state="FAILED", error="x"), log_tail=["one", "two"]), "end of its log", "one\ntwo"),
    "retries before": (
        seen(a_task(state="FAILED", error="x", retry=retrying(3))),
        "retries before",
        "3 of 3 were made",
    ),
    "the if as it was written": (
        seen(
            a_task(state="SKIPPED", **{"if": "false"}),
            job=a_job(tasks=[msgspec.convert({"if": "{{ inputs.deploy }}"}, TaskReport)]),
        ),
        "if",
        "{{ inputs.deploy }}",
    ),
    "who is not seen": (
        seen(GPU, unseen=[Evidence(about="queues", says="can't be seen: not now")]),
        "queues",
        "can't be seen: not now",
    ),
    "which task it is": (
        replace(seen(GPU), subject=Subject(kind="job", id=JOB)),
        "task",
        "t1 SCHEDULED",
    ),
    "others under way": (
        replace(seen(GPU, a_task(id="t2", name="b", state="RUNNING")), subject=Subject(kind="job", id=JOB)),
        "other tasks under way",
        "1 RUNNING, such as task 'b'",
    ),
    "what was skipped": (
        seen(None, job=a_job(a_task(state="SKIPPED"), state=JobState.COMPLETED)),
        "skipped",
        "build",
    ),
}


@pytest.mark.parametrize(("facts", "about", "says"), EVIDENCE.values(), ids=EVIDENCE)
def test_a_sentence_rests_on_what_was_seen(facts: Facts, about: str, says: str) -> None:
    assert evidence(facts)[about] == says


QUEUES = [a_queue("default", slots=2), a_queue("gpu")]
DECISIVE: dict[str, tuple[Sequence[TaskReport], str]] = {
    "stuck before running": ([a_task(id="r", state="RUNNING"), a_task(id="s", queue="gpu")], "s"),
    "unknown queue before running": ([a_task(id="r", state="RUNNING"), a_task(id="s", queue="x")], "s"),
    "running before waiting": ([a_task(id="s", queue="default"), a_task(id="r", state="RUNNING")], "r"),
    "a retry before the queue": ([a_task(id="s", queue="default"), a_task(id="p", state="PENDING")], "p"),
    "inside before around": ([an_each(2), *children("COMPLETED", "RUNNING")], "c1"),
    "around where nothing is inside": ([an_each(2), *children("COMPLETED")], "p"),
}


@pytest.mark.parametrize(("execution", "task_id"), DECISIVE.values(), ids=DECISIVE)
def test_the_task_that_holds_the_job_up_most_decides(execution: Sequence[TaskReport], task_id: str) -> None:
    task = decisive_task(a_job(*execution), QUEUES)
    assert task is not None
    assert task.id == task_id


def test_of_a_composite_task_the_one_inside_decides_and_none_beside_it() -> None:
    beside = a_task(id="q", queue="gpu")
    around = an_each(2)
    job = a_job(beside, around, *children("COMPLETED", "RUNNING"))
    assert decisive_below(job, around, QUEUES).id == "c1"
    failed = msgspec.structs.replace(around, state=FAILED.state)
    inside = msgspec.structs.replace(FAILED, parent_id="p")
    assert decisive_below(a_job(failed, inside, FAILED), failed, None).id == "t1"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (PULLING, "image pull at 40 %"),
        (f"{IMAGE}: 2 of 5 layers", "image pull, 2 of 5 layers"),
        (f"Pulling image {IMAGE}", f"pulling image {IMAGE}"),
        (
            f"Waiting for image {IMAGE}, which another task pulls",
            f"waiting for image {IMAGE}, which another task pulls",
        ),
        (f"Pulled image {IMAGE} in 3.0 s", ""),
        ("alpine: 2 of 5 layers", ""),
        ("hello", ""),
    ],
)
def test_the_last_line_of_the_log_tells_of_a_pull(line: str, told: str) -> None:
    assert image_pull(RUNS, line) == told


SCHEDULES = [
    ({"state": ScheduleState.PAUSED}, "it is paused, and starts nothing until it is resumed"),
    ({"next_at": NOW + timedelta(days=40)}, "it waits for its next time, 2026-02-11 "),
    ({"error": "queue 'x' is not for tasks"}, "it could not start its job when it was due: queue 'x' is not for tasks"),
    ({}, "it has no time to come"),
]


@pytest.mark.parametrize(("fields", "sentence"), SCHEDULES, ids=["paused", "waits", "error", "over"])
def test_a_schedule_tells_what_keeps_it_from_starting(fields: dict[str, Any], sentence: str) -> None:
    given = {"id": JOB, "state": ScheduleState.ACTIVE, "created_at": NOW, "cron": "0 0 11 2 *", **fields}
    assert explain_schedule(ScheduledJobSummary(**given), NOW).because.startswith(sentence)


def test_what_jobs_say_is_not_obeyed_by_a_terminal() -> None:
    reason = Reason(
        subject=Subject(kind="job", id=JOB, name="x\x1b[31m"),
        state="FAILED",
        because="a\nb\x1b]0;c",
        evidence=[Evidence(about="end of its log", says="one\ntwo\x07")],
    )
    assert reason_lines(reason) == ["job aaaaaaaa (x [31m) FAILED: a b ]0;c", "  end of its log:", "    one", "    two"]


def test_what_may_not_be_seen_is_told_and_is_no_error(fake_api: FakeApi, torkctl: Torkctl) -> None:
    fake_api.add_job(JOB, state="CANCELLED", failedAt="2026-01-02T03:04:05Z")
    fake_api.fail("/audit", "status", status=403, body=b'{"message": "only admins may do this"}')
    ran = torkctl("why", JOB)
    assert ran.code == 0
    assert "; by whom can't be seen" in ran.out
    assert "who cancelled it: can't be seen: the server refused the credentials: only admins may do this" in ran.out


def test_a_server_that_tells_nothing_of_its_queues_still_tells_where_a_task_waits(
    fake_api: FakeApi, torkctl: Torkctl
) -> None:
    fake_api.add_job(JOB)
    fake_api.add_task(JOB, "t1", name="build", state="SCHEDULED", queue="gpu")
    ran = torkctl("why", JOB)
    assert ran.code == 0
    assert ran.out.splitlines()[0] == f"job {JOB[:8]} (etl) RUNNING: task 'build' waits in queue 'gpu' for a worker"
    assert "  queues: can't be seen: " in ran.out
    assert torkctl("why", "f" * 32).code == 4
