"""Which changes are events for webhooks, in which order, and as of which state."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.builders import a_job, a_parallel, a_subjob, a_task, an_each, report_of
from tests.support.engine_play import Play
from tork.job import JobDefinition, JobState
from tork.task import Retry, TaskDefinition, WebhookDefinition
from torkd.engine.hook_events import HookEvent, announced_by

EVERYTHING = [WebhookDefinition(url="http://h", event=event) for event in HookEvent]


def hooked(*tasks: TaskDefinition, events: str = "", **fields: object) -> JobDefinition:
    """A job with a webhook for each of these events, or for all."""
    webhooks = [hook for hook in EVERYTHING if not events or hook.event in events.split()]
    return a_job(*tasks, webhooks=webhooks, **fields)


def told(play: Play, event: HookEvent) -> list[str]:
    """What was announced: name and state, or progress."""
    found = []
    for announcement in play.model.announced:
        row = announcement.task or announcement.job
        if announcement.event is event:
            is_progress = event in {HookEvent.JOB_PROGRESS, HookEvent.TASK_PROGRESS}
            found.append(f"{row.name} {row.progress:g}" if is_progress else f"{row.name} {row.state}")
    return found


def run_and_complete(play: Play) -> None:
    play.claim("only")
    play.complete("only")


def run_and_fail(play: Play) -> None:
    play.claim("only")
    play.fail("only")


def cancel(play: Play) -> None:
    play.claim("only")
    play.cancel()


def fail_and_restart(play: Play) -> None:
    play.fail("only")
    play.restart()


JOB_STATES: dict[str, tuple[Callable[[Play], object], list[str]]] = {
    "submitted": (lambda play: None, ["PENDING"]),
    "claimed": (lambda play: play.claim("only"), ["PENDING", "RUNNING"]),
    "completed": (run_and_complete, ["PENDING", "RUNNING", "COMPLETED"]),
    "completed at once": (lambda play: play.complete("only"), ["PENDING", "RUNNING", "COMPLETED"]),
    "failed": (run_and_fail, ["PENDING", "RUNNING", "FAILED"]),
    "cancelled": (cancel, ["PENDING", "RUNNING", "CANCELLED"]),
    "cancelled before it ran": (lambda play: play.cancel(), ["PENDING", "CANCELLED"]),
    "restarted": (fail_and_restart, ["PENDING", "RUNNING", "FAILED", "RUNNING"]),
}


@pytest.mark.parametrize(("moves", "states"), JOB_STATES.values(), ids=JOB_STATES)
def test_a_state_of_a_job_is_told_when_it_begins(moves: Callable[[Play], object], states: list[str]) -> None:
    play = Play(hooked())
    moves(play)
    assert told(play, HookEvent.JOB_STATE) == [f"job {state}" for state in states]


TASK_STATES: dict[str, tuple[TaskDefinition, Callable[[Play], object], list[str]]] = {
    "handed out": (a_task("t"), lambda play: None, ["t SCHEDULED"]),
    "done": (a_task("t"), lambda play: play.complete("t"), ["t SCHEDULED", "t RUNNING", "t COMPLETED"]),
    "failed": (a_task("t"), lambda play: play.fail("t"), ["t SCHEDULED", "t RUNNING", "t FAILED"]),
    "skipped": (a_task("t", if_="false"), lambda play: None, ["t SKIPPED"]),
    "impossible": (a_task("t", cmd=["{{ 1 / 'x' }}"]), lambda play: None, ["t FAILED"]),
    "cancelled": (a_task("t"), lambda play: play.cancel(), ["t SCHEDULED"]),
    "lost": (
        a_task("t"),
        lambda play: (play.claim("t"), play.lose("t")),
        ["t SCHEDULED", "t RUNNING", "t SCHEDULED"],
    ),
    "retried": (
        a_task("t", retry=Retry(limit=1, initial_delay="0s")),
        lambda play: play.fail("t"),
        ["t SCHEDULED", "t RUNNING", "t FAILED", "t SCHEDULED"],
    ),
    "parallel": (
        a_parallel(a_task("a"), a_task("b"), name="p"),
        lambda play: play.complete("a", "b"),
        [
            "p PENDING",
            "p RUNNING",
            "a SCHEDULED",
            "b SCHEDULED",
            "a RUNNING",
            "a COMPLETED",
            "b RUNNING",
            "b COMPLETED",
            "p COMPLETED",
        ],
    ),
    "released": (
        an_each("[1, 2]", a_task("i{{ item.index }}"), concurrency=1, name="e"),
        lambda play: play.complete("i0"),
        ["e PENDING", "e RUNNING", "i0 SCHEDULED", "i0 RUNNING", "i0 COMPLETED", "i1 SCHEDULED"],
    ),
    "empty": (an_each("[]", name="e"), lambda play: None, ["e PENDING", "e RUNNING", "e COMPLETED"]),
}


@pytest.mark.parametrize(("task", "moves", "states"), TASK_STATES.values(), ids=TASK_STATES)
def test_a_state_of_a_task_is_told_when_it_begins(
    task: TaskDefinition, moves: Callable[[Play], object], states: list[str]
) -> None:
    play = Play(hooked(task))
    moves(play)
    assert told(play, HookEvent.TASK_STATE) == states


def test_progress_is_told_when_it_grows_and_at_the_end_of_each_step() -> None:
    play = Play(hooked(a_task("a"), a_task("b")))
    play.claim("a")
    play.progress("a", 50)
    play.progress("a", 40)
    play.complete("a")
    play.complete("b")
    assert told(play, HookEvent.TASK_PROGRESS) == ["a 50"]
    assert told(play, HookEvent.JOB_PROGRESS) == ["job 25", "job 50", "job 100"]


def test_children_move_the_progress_of_their_parent_and_of_the_job() -> None:
    play = Play(hooked(a_parallel(a_task("a"), a_task("b"), name="p")))
    play.complete("a", "b")
    assert told(play, HookEvent.TASK_PROGRESS) == ["p 50"]
    assert told(play, HookEvent.JOB_PROGRESS) == ["job 50", "job 100"]


def test_an_announcement_holds_the_rows_as_they_were_then() -> None:
    play = Play(hooked(events="job.StateChange task.StateChange"))
    play.complete("only", result="42")
    seen = [(told.job.state, told.task and told.task.result) for told in play.model.announced if told.task]
    assert seen == [(JobState.SCHEDULED, None), (JobState.RUNNING, None), (JobState.RUNNING, "42")]


def test_a_repeated_or_late_event_announces_nothing() -> None:
    play = Play(hooked(a_task("only"), a_task("next")))
    late = play.task("only")
    play.complete("only")
    before = len(play.model.announced)
    play.handle(report_of(late), report_of(late))
    assert len(play.model.announced) == before


def test_only_the_events_that_are_asked_for_are_announced() -> None:
    play = Play(hooked(a_parallel(a_task("a"), name="p"), events="job.StateChange"))
    play.complete("a")
    assert {announcement.event for announcement in play.model.announced} == {HookEvent.JOB_STATE}


def test_a_job_without_webhooks_announces_nothing() -> None:
    play = Play(a_job(a_parallel(a_task("a"), name="p"), a_subjob(a_task("inner"))))
    play.complete("a", "inner")
    assert play.job.state is JobState.COMPLETED
    assert play.model.announced == []


def test_a_sub_job_tells_its_own_webhooks_and_not_those_of_its_parent() -> None:
    hook = WebhookDefinition(url="http://h")
    play = Play(a_job(a_subjob(a_task("inner"), subjob={"webhooks": [hook]})))
    play.complete("inner")
    assert told(play, HookEvent.JOB_STATE) == ["sub PENDING", "sub RUNNING", "sub COMPLETED"]


@pytest.mark.parametrize("detached", [False, True])
def test_a_sub_job_announces_to_the_end_whether_waited_for_or_not(detached: bool) -> None:
    hook = WebhookDefinition(url="http://h")
    play = Play(a_job(a_subjob(a_task("inner"), detached=detached, subjob={"webhooks": [hook]})))
    play.fail("inner")
    assert told(play, HookEvent.JOB_STATE)[-1] == "sub FAILED"


def test_cancelling_tells_each_job_of_the_tree_once_and_no_task() -> None:
    subjob = a_subjob(
        a_subjob(a_task("deep"), job_name="lower", subjob={"webhooks": EVERYTHING}), subjob={"webhooks": EVERYTHING}
    )
    play = Play(hooked(a_parallel(subjob, a_task("beside"))))
    before = len(play.model.announced)
    play.cancel()
    cancelled = play.model.announced[before:]
    assert sorted(f"{told.job.name} {told.job.state}" for told in cancelled) == [
        "job CANCELLED", "lower CANCELLED", "sub CANCELLED",
    ]  # fmt: skip
    assert {told.event for told in cancelled} == {HookEvent.JOB_STATE}


def test_a_failed_sub_job_is_told_as_failed_and_never_as_cancelled() -> None:
    play = Play(hooked(a_subjob(a_parallel(a_task("a"), a_task("b")), subjob={"webhooks": EVERYTHING})))
    play.fail("a")
    ends = [state for state in told(play, HookEvent.JOB_STATE) if not state.endswith(("PENDING", "RUNNING"))]
    assert ends == ["sub FAILED", "job FAILED"]


def test_what_comes_after_the_end_of_a_job_is_not_told() -> None:
    play = Play(hooked(a_parallel(a_task("a"), a_task("b"))))
    play.claim("a")
    play.claim("b")
    play.cancel()
    before = len(play.model.announced)
    play.fail("a")
    play.complete("b")
    assert play.model.announced[before:] == []


ASKED = {
    "": "job.StateChange",
    "job.StateChange": "job.StateChange",
    "task.Progress": "task.Progress",
    "Job.StateChange": "",
    "job.Party": "",
}


@pytest.mark.parametrize(("event", "announced"), ASKED.items(), ids=lambda name: name or "none")
def test_an_event_is_known_by_its_exact_name_and_absent_means_states_of_the_job(event: str, announced: str) -> None:
    assert announced_by([WebhookDefinition(url="http://h", event=event)]) == announced


def test_names_of_events_are_no_parts_of_each_other() -> None:
    assert [one for one in HookEvent for other in HookEvent if one is not other and one in other] == []
