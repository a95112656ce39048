"""Who owns a task: claims, reports, losses and hand-backs of current, stale and unknown runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from tests.support.builders import a_job, a_parallel, a_task, claim_of, failure_of, loss_of, progress_of, report_of
from tests.support.engine_play import Play
from tork.job import JobState
from tork.task import Retry, TaskState
from torkd.broker.messages import RunOutcome
from torkd.engine.events import EngineEvent, RetryDue
from torkd.engine.rows import TaskRow

OWNER = "owner"


def in_state(state: str) -> Play:
    """A job whose task `t` is in a state after its second hand-out, which `OWNER` has claimed if it came so far."""
    play = Play(a_job(a_parallel(a_task("t", retry=Retry(limit=1, initial_delay="1m")), a_task("u"))))
    if state == "WAITING":
        play.fail("t")
        return play
    play.claim("t", run_id="stale")
    play.lose("t")
    if state != "SCHEDULED":
        play.claim("t", run_id=OWNER)
    match state:
        case "COMPLETED":
            play.complete("t")
        case "FAILED":
            play.fail("t")
        case "CANCELLED":
            play.cancel()
    return play


EVENTS: dict[str, Callable[[TaskRow], EngineEvent]] = {
    "claim": lambda t: claim_of(t, run_id=OWNER),
    "claim of another run": lambda t: claim_of(t, run_id="other"),
    "claim of an old hand-out": lambda t: claim_of(t, run_id="stale", dispatch=1),
    "cautious claim": lambda t: claim_of(t, run_id=OWNER, redelivered=True),
    "cautious claim of another run": lambda t: claim_of(t, run_id="other", redelivered=True),
    "cautious claim of an old hand-out": lambda t: claim_of(t, run_id="stale", dispatch=1, redelivered=True),
    "claim with a new lease": lambda t: claim_of(t, run_id=OWNER, lease_id="the next one"),
    "report": lambda t: report_of(t, run_id=OWNER),
    "report of another run": lambda t: report_of(t, run_id="other"),
    "report of an old hand-out": lambda t: report_of(t, run_id="stale", dispatch=1),
    "failure": lambda t: report_of(t, RunOutcome.FAILED, run_id=OWNER),
    "failure of another run": lambda t: report_of(t, RunOutcome.FAILED, run_id="other"),
    "failure of an old hand-out": lambda t: report_of(t, RunOutcome.FAILED, run_id="stale", dispatch=1),
    "hand-back": lambda t: report_of(t, RunOutcome.HANDED_BACK, run_id=OWNER),
    "hand-back of another run": lambda t: report_of(t, RunOutcome.HANDED_BACK, run_id="other"),
    "hand-back of an old hand-out": lambda t: report_of(t, RunOutcome.HANDED_BACK, run_id="stale", dispatch=1),
    "loss": lambda t: loss_of(t, run_id=OWNER),
    "loss of another run": lambda t: loss_of(t, run_id="other"),
    "loss of an old hand-out": lambda t: loss_of(t, run_id="stale", dispatch=1),
    "loss of an old lease": lambda t: loss_of(t, run_id=OWNER, lease_id="an old one"),
    "progress": lambda t: progress_of(t, 50, run_id=OWNER),
    "progress of another run": lambda t: progress_of(t, 50, run_id="other"),
    "progress of an old hand-out": lambda t: progress_of(t, 50, run_id="stale", dispatch=1),
    "retry": lambda t: RetryDue(task_id=t.id, job_id=t.job_id, root_id=t.root_id),
}
# One line an event: what becomes of the task that is SCHEDULED, RUNNING, WAITING (for its retry), COMPLETED, FAILED,
# CANCELLED ("-": nothing at all changes), and after "/" what the node is told.
TABLE = """
claim                             | RUNNING    | -          | -/stop | -      | -      | -/stop
claim with a new lease            | RUNNING    | RUNNING    | -/stop | -      | -      | -/stop
claim of another run              | RUNNING    | -/stop     | -/stop | -/stop | -/stop | -/stop
claim of an old hand-out          | -/stop     | -/stop     | -/stop | -/stop | -/stop | -/stop
cautious claim                    | RUNNING/grant | -/grant | -/refuse | -    | -      | -/refuse
cautious claim of another run     | RUNNING/grant | -/refuse | -/refuse | -/refuse | -/refuse | -/refuse
cautious claim of an old hand-out | -/refuse   | -/refuse   | -/refuse | -/refuse | -/refuse | -/refuse
report                            | COMPLETED/ack | COMPLETED/ack | -/ack | -/ack | -/ack | -/ack
report of another run             | COMPLETED/ack | -/ack   | -/ack | -/ack | -/ack | -/ack
report of an old hand-out         | -/ack      | -/ack      | -/ack | -/ack | -/ack | -/ack
failure                           | FAILED/ack | FAILED/ack | -/ack | -/ack | -/ack | -/ack
failure of another run            | FAILED/ack | -/ack      | -/ack | -/ack | -/ack | -/ack
failure of an old hand-out        | -/ack      | -/ack      | -/ack | -/ack | -/ack | -/ack
hand-back                         | SCHEDULED again/ack | SCHEDULED again/ack | -/ack | -/ack | -/ack | -/ack
hand-back of another run          | SCHEDULED again/ack | -/ack | -/ack | -/ack | -/ack | -/ack
hand-back of an old hand-out      | -/ack      | -/ack      | -/ack | -/ack | -/ack | -/ack
loss                              | -          | SCHEDULED again | - | -    | -      | -
loss of another run               | -          | -          | -      | -      | -      | -
loss of an old lease              | -          | -          | -      | -      | -      | -
loss of an old hand-out           | -          | -          | -      | -      | -      | -
progress                          | -          | RUNNING    | -      | -      | -      | -
progress of another run           | -          | -          | -      | -      | -      | -
progress of an old hand-out       | -          | -          | -      | -      | -      | -
retry                             | -          | -          | SCHEDULED again | - | - | -
"""
STATES = ("SCHEDULED", "RUNNING", "WAITING", "COMPLETED", "FAILED", "CANCELLED")
CASES = [
    pytest.param(event.strip(), state, cell.strip(), id=f"{event.strip()} when {state}")
    for event, *cells in (line.split("|") for line in TABLE.strip().splitlines())
    for state, cell in zip(STATES, cells, strict=True)
]


@pytest.mark.parametrize(("name", "state", "effect"), CASES)
def test_what_an_event_does_depends_on_who_owns_the_task(name: str, state: str, effect: str) -> None:
    play = in_state(state)
    task = play.task("t") if state != "FAILED" else play.instances("t")[0]
    event = EVENTS[name](task)
    before = play.model.copy()
    outcome = play.handle(event)
    expected, _, order = effect.partition("/")
    assert [str(told.kind)[: len(order)] for told in outcome.orders] == ([order] if order else [])
    if expected == "-":
        assert (play.model.jobs, play.model.tasks, outcome.sent) == (before.jobs, before.tasks, [])
        return
    after = play.model.tasks[task.id]
    wanted, _, again = expected.partition(" ")
    assert after.state == wanted
    assert after.dispatch == task.dispatch + (1 if again else 0)
    assert outcome.sent == ([task.id] if again else [])
    repeated = play.handle(event)
    assert all(type(change).__name__ == "TellNode" for change in repeated.changes[0])


def test_every_event_of_a_task_has_a_row() -> None:
    assert {line.split("|")[0].strip() for line in TABLE.strip().splitlines()} == set(EVENTS)


def test_events_of_a_task_that_is_gone_change_nothing() -> None:
    play = in_state("RUNNING")
    events = [make(play.task("t")) for make in EVENTS.values()]
    play.model.tasks.clear()
    play.model.jobs.clear()
    outcome = play.model.handle(*events)
    assert outcome.errors == [None] * len(events)
    assert {type(change).__name__ for changes in outcome.changes for change in changes} == {"TellNode"}
    assert (play.model.tasks, play.model.jobs) == ({}, {})


def test_a_run_that_is_taken_up_keeps_its_task_when_the_lease_before_is_found_lost() -> None:
    play = in_state("RUNNING")
    before = play.task("t")
    loss = loss_of(before)
    play.handle(claim_of(before, node_id="n2", lease_id="new"), loss)
    after = play.task("t")
    assert (after.state, after.run_id, after.redelivered) == (TaskState.RUNNING, before.run_id, before.redelivered)
    assert (after.node_id, after.lease_id, after.started_at) == ("n2", "new", before.started_at)


def test_the_first_of_two_claims_wins() -> None:
    play = Play(a_job())
    task = play.task("only")
    outcome = play.handle(claim_of(task, run_id="r1", node_id="n1"), claim_of(task, run_id="r2", node_id="n2"))
    assert (play.task("only").run_id, play.task("only").node_id) == ("r1", "n1")
    assert [(order.kind, order.node_id, order.run_id) for order in outcome.orders] == [("stop", "n2", "r2")]


def test_a_result_counts_once() -> None:
    play = Play(a_job(a_task("a", var="x"), a_task("b")))
    report = report_of(play.task("a"), result="1")
    late = report_of(play.task("a"), run_id="other", result="2")
    play.handle(report, report, late)
    play.handle(report)
    assert (play.context(), play.task("a").result) == ({"x": "1"}, "1")
    assert play.model.results_set == {("job", "x"): 1}
    assert play.sent() == ["a", "b"]


def test_a_claim_after_its_report_changes_nothing() -> None:
    play = Play(a_job())
    task = play.task("only")
    outcome = play.handle(report_of(task), claim_of(task), report_of(task))
    assert [order.kind for order in outcome.orders] == ["acknowledge", "acknowledge"]
    assert play.job.state is JobState.COMPLETED


def test_a_dead_worker_s_task_is_handed_out_again_five_times_and_then_fails() -> None:
    play = Play(a_job(a_task("a", retry=Retry(limit=3))))
    for count in range(1, 6):
        play.claim("a")
        play.lose("a")
        task = play.task("a")
        assert (task.state, task.redelivered, task.dispatch) == (TaskState.SCHEDULED, count, count + 1)
        assert (task.run_id, task.node_id, task.lease_id) == (None, None, None)
    play.claim("a")
    play.lose("a")
    assert (play.task("a").state, play.job.state) == (TaskState.FAILED, JobState.FAILED)
    assert play.job.error == play.task("a").error == "task redelivered too many times"
    assert len(play.instances("a")) == 1, "a lost task is not a failure that is tried again"


def test_the_sixth_run_may_still_complete_the_task() -> None:
    play = Play(a_job())
    for _ in range(5):
        play.claim("only")
        play.lose("only")
    play.claim("only")
    play.complete("only")
    assert play.job.state is JobState.COMPLETED


def test_a_hand_back_is_not_counted_as_a_redelivery() -> None:
    play = Play(a_job())
    for _ in range(10):
        play.claim("only")
        play.progress("only", 40)
        play.hand_back("only", log_parts=2)
    task = play.task("only")
    assert (task.state, task.redelivered, task.dispatch) == (TaskState.SCHEDULED, 0, 11)
    assert (task.run_id, task.progress, task.log_parts) == (None, 0.0, 2)
    assert play.sent() == ["only"] * 11


def test_a_hand_back_before_the_claim_counts_too() -> None:
    play = Play(a_job())
    play.hand_back("only")
    assert (play.task("only").dispatch, play.sent()) == (2, ["only"] * 2)


def test_a_task_that_is_handed_out_twice_in_a_batch_is_sent_once() -> None:
    play = Play(a_job())
    task = play.task("only")
    back = report_of(task, RunOutcome.HANDED_BACK)
    again = report_of(replace(task, dispatch=2), RunOutcome.HANDED_BACK, run_id="r2")
    assert play.handle(back, again).sent == [task.id]
    assert play.model.outbox[-1] == (task.id, 3)


def test_a_task_that_is_handed_out_and_cancelled_in_a_batch_is_not_sent() -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b"))))
    a, b = play.task("a"), play.task("b")
    assert play.handle(report_of(a, RunOutcome.HANDED_BACK), failure_of(b)).sent == []


def test_a_retry_of_a_claimed_task_has_an_owner_of_its_own() -> None:
    play = Play(a_job(a_task("a", retry=Retry(limit=1, initial_delay="0s"))))
    first = play.task("a")
    play.fail("a")
    play.handle(report_of(first, result="late"))
    assert [task.state for task in play.instances("a")] == [TaskState.FAILED, TaskState.SCHEDULED]
