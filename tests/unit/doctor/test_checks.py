"""What was seen, and what the doctor says of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tork.diagnosis import Check, Diagnosis
from tork.node import Queue
from torkd.datastore.protocol import Dispatch, DownNode, Examined, HandedOut, SilentRun
from torkd.doctor.checks import Facts, confirmed, diagnose, diagnosis_of
from torkd.engine.events import JobStalled, RetryDue, RunLost, TaskStalled

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WAITING = frozenset({"gpu"})
LOST = RunLost(task_id="t1", job_id="j1", root_id="j1", dispatch=1, run_id="r1", lease_id="l1")


def facts(told: Sequence[Queue] | None = (), **examined: Any) -> Facts:
    """`told` is what the broker says, the rest is what the database knows."""
    base: dict[str, Any] = {"now": NOW, "is_busy": True, "heartbeats_until": NOW}
    return Facts(examined=Examined(**base | examined), queues=told, lease_seconds=15, late_seconds=20)


def a_queue(name: str, *, size: int = 0, subscribers: int = 0, unacked: int = 0) -> Queue:
    return Queue(name=name, size=size, subscribers=subscribers, unacked=unacked)


def wrong(diagnosis: Diagnosis) -> dict[str, Check]:
    return {check.name: check for check in diagnosis.checks if not check.ok}


def test_nothing_wrong_is_a_line_a_check_and_all_well() -> None:
    diagnosis = diagnose(facts())
    assert diagnosis.ok
    assert [check.name for check in diagnosis.checks] == [
        "coordinators", "nodes", "jobs", "tasks", "leases", "retries", "outbox", "hand-outs", "consumers", "dead letters",
    ]  # fmt: skip


@pytest.mark.parametrize(("is_rekeyed", "said"), [(False, "torkd rekey"), (True, "they can go")])
def test_of_older_keys_it_is_said_whether_they_are_needed(said: str, *, is_rekeyed: bool) -> None:
    (check,) = (
        check for check in diagnose(facts(older_keys=1, is_rekeyed=is_rekeyed)).checks if check.name == "encryption"
    )
    assert check.ok
    assert said in check.message


def test_without_a_broker_to_ask_its_checks_are_left_out() -> None:
    assert {check.name for check in diagnose(facts(None)).checks} & {"hand-outs", "consumers", "dead letters"} == set()


WRONG: dict[str, tuple[Facts, str, list[str]]] = {
    "nodes": (
        facts(down_nodes=[DownNode(id=f"n{n}", name=f"worker-{n}", hostname="h", port=8001) for n in (1, 2)]),
        "DOWN, so that no task can run there: worker-1 (h:8001), worker-2 (h:8001)",
        ["n1", "n2"],
    ),
    "jobs": (
        facts(stalled_jobs=[JobStalled(job_id="j1", root_id="j1", version=1)]),
        "1 active, without any task that could end: j1",
        ["j1"],
    ),
    "tasks": (
        facts(stalled_tasks=[TaskStalled(task_id="t1", job_id="j1", root_id="j1", version=1, is_done=True)]),
        "1 running, though none of their children or sub-jobs is left: t1",
        ["t1"],
    ),
    "leases": (
        facts(silent_runs=[SilentRun(lost=LOST, node_id="n1", may_be_given_up=True)]),
        "1 running on n1 that were not heard of for longer than a lease: t1",
        ["t1"],
    ),
    "retries": (
        facts(late_retries=[RetryDue(task_id=f"t{n}", job_id="j1", root_id="j1") for n in range(7)]),
        "7 overdue to be tried again: t0, t1, t2, t3, t4 and 2 more",
        [f"t{n}" for n in range(7)],
    ),
    "outbox": (
        facts(old_outbox=[Dispatch(task_id="t1", dispatch=1)]),
        "1 not handed out yet, though it is their turn: t1",
        ["t1"],
    ),
    "hand-outs": (
        facts([a_queue("gpu")], waiting=[HandedOut(queue="gpu", count=1, task_ids=["t1"])]),
        "1 handed out to gpu, and the broker does not have them: t1",
        ["t1"],
    ),
    "consumers": (facts([a_queue("gpu", size=3)], queues=WAITING), "no worker reads gpu (3 waiting)", ["gpu"]),
    "dead letters": (facts([a_queue("dead", size=2)]), "2 could not be handled", []),
    "coordinators": (
        facts(heartbeats_until=NOW - timedelta(minutes=1)),
        "jobs are active, but no coordinator has been at work since 2026-01-02 03:03:05 UTC",
        [],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_ids_and_what_to_do(name: str) -> None:
    seen, message, ids = WRONG[name]
    diagnosis = diagnose(seen)
    assert not diagnosis.ok
    (check,) = wrong(diagnosis).values()
    assert (check.name, check.message, check.ids) == (name, message, ids)
    assert check.advice


@pytest.mark.parametrize(
    "seen",
    [
        facts([a_queue("gpu", size=3, subscribers=1)], queues=WAITING),
        facts([a_queue("gpu", size=3, unacked=1)], queues=WAITING),
        facts([a_queue("gpu", size=3)], queues=WAITING, served_queues=frozenset({"gpu"})),
        facts([a_queue("gpu")], queues=WAITING),
        facts([a_queue("gpu", size=3)], queues=frozenset({"default"})),
        facts([a_queue("completed", size=3), a_queue("x-node", size=1)], queues=frozenset({"completed", "x-node"})),
    ],
    ids=["read", "in hand", "all slots busy", "empty", "of ended tasks", "no task queue"],
)
def test_a_queue_is_not_told_of_without_need(seen: Facts) -> None:
    assert wrong(diagnose(seen)) == {}


@pytest.mark.parametrize(
    "queues",
    [
        [a_queue("gpu", size=1, subscribers=1)],
        [a_queue("gpu", unacked=1)],
        [a_queue("gpu"), a_queue("started", size=1)],
        [a_queue("gpu"), a_queue("completed", unacked=1)],
        [a_queue("gpu"), a_queue("error", size=1)],
        [],
    ],
    ids=["waits", "in hand", "claim waits", "report in hand", "failure waits", "not told of"],
)
def test_a_hand_out_that_may_be_at_the_broker_is_not_lost(queues: list[Queue]) -> None:
    waiting = [HandedOut(queue="gpu", count=1, task_ids=["t1"])]
    assert "hand-outs" not in wrong(diagnose(facts(queues, waiting=waiting)))


def test_a_silent_worker_is_not_given_up_while_nobody_could_hear_it() -> None:
    (check,) = wrong(diagnose(facts(silent_runs=[SilentRun(lost=LOST, node_id="n", may_be_given_up=False)]))).values()
    assert (check.repair, "start a coordinator" in check.advice) == ("", True)


def test_without_active_jobs_no_coordinator_is_missed() -> None:
    assert diagnose(facts(is_busy=False, heartbeats_until=None)).ok


def bad(*ids: str, name: str = "jobs") -> Diagnosis:
    return diagnosis_of([Check(name=name, ok=not ids, message="m", ids=list(ids))])


@pytest.mark.parametrize(
    ("first", "second", "ok"),
    [
        (["a"], ["a"], False),
        (["a", "b"], ["b", "c"], False),
        (["a"], ["b"], True),
        (["a"], [], True),
        ([], ["a"], True),
    ],
    ids=["same", "some of them", "others", "gone", "new"],
)
def test_only_what_two_looks_find_is_wrong(first: list[str], second: list[str], ok: bool) -> None:
    assert confirmed(bad(*first), bad(*second)).ok is ok


def test_what_has_no_ids_is_confirmed_by_being_found_again() -> None:
    look = diagnosis_of([Check(name="dead letters", ok=False, message="2")])
    assert not confirmed(look, look).ok
