"""How a worker ends, changes its slots, and lives through a broker that is away."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.support.messages import a_task_message
from tests.support.waiting import wait_until
from tests.support.workers import WorkerUnderTest
from tork.node import Queue
from tork.task import TaskDefinition
from torkd.broker.messages import Heartbeat, LogPrinted, RunClaimed, RunEnded, RunOutcome
from torkd.runtime.fake import FakeRuntime

Start = Callable[..., WorkerUnderTest]


def send(worker: WorkerUnderTest, script: str = "", *, task_id: str = "t1", queue: str = "default") -> None:
    definition = TaskDefinition(name=task_id, run=script)
    worker.broker.publish_tasks([a_task_message(task_id, definition=definition, queue=queue)])


def figures(worker: WorkerUnderTest, name: str = "default") -> Queue:
    return next(queue for queue in worker.broker.queues() if queue.name == name)


def test_draining_lets_running_tasks_end_and_takes_no_more(start: Start) -> None:
    runtime = FakeRuntime()
    worker = start(runtime)
    send(worker, "sleep 0.3\noutput done")
    wait_until(lambda: runtime.active_count == 1)
    send(worker, task_id="t2")
    worker.worker.drain()
    wait_until(lambda: worker.of(RunEnded))
    assert [(report.task_id, report.outcome, report.result) for report in worker.of(RunEnded)] == [
        ("t1", RunOutcome.COMPLETED, "done")
    ]
    assert figures(worker) == Queue(name="default", size=1, subscribers=0, unacked=0)


@pytest.mark.parametrize("end", ["drain", "stop"])
def test_what_does_not_end_in_time_is_handed_back_once_it_is_dead(start: Start, end: str) -> None:
    runtime = FakeRuntime()
    worker = start(runtime)
    send(worker, "print started\nsleep 300")
    wait_until(lambda: runtime.active_count == 1)
    if end == "drain":
        worker.worker.drain(0.05)
    else:
        worker.worker.stop()
    wait_until(lambda: worker.of(RunEnded))
    (report,) = worker.of(RunEnded)
    assert (report.outcome, report.log_parts, runtime.active_count) == (RunOutcome.HANDED_BACK, 1, 0)
    wait_until(lambda: figures(worker) == Queue(name="default", size=0, subscribers=0, unacked=0))


def test_stop_hurries_a_drain(start: Start) -> None:
    runtime = FakeRuntime()
    worker = start(runtime)
    send(worker, "sleep 300")
    wait_until(lambda: runtime.active_count == 1)
    draining = threading.Thread(target=worker.worker.drain, args=(300.0,))
    draining.start()
    worker.worker.stop()
    draining.join(20)
    assert not draining.is_alive()


def test_heartbeats_go_on_while_draining(start: Start) -> None:
    runtime = FakeRuntime()
    worker = start(runtime, heartbeat_seconds=0.02)
    send(worker, "sleep 300")
    wait_until(lambda: runtime.active_count == 1)
    draining = threading.Thread(target=worker.worker.drain, args=(300.0,))
    draining.start()
    wait_until(lambda: figures(worker).subscribers in {0, 1})
    before = len(worker.of(Heartbeat))
    wait_until(lambda: len(worker.of(Heartbeat)) > before + 3)
    assert worker.of(Heartbeat)[-1].running
    worker.worker.stop()
    draining.join(20)


def test_a_run_that_waits_for_its_grant_is_handed_back_too(start: Start) -> None:
    """A grant may be on its way: without this the task would wait for the lease."""
    runtime = FakeRuntime()
    worker = start(runtime)
    slot = worker.broker.consume_tasks("elsewhere")
    send(worker, queue="elsewhere")
    delivery = slot.receive(5)
    assert delivery is not None
    delivery.requeue()
    slot.close()
    worker.worker.set_queues({"elsewhere": 1})
    wait_until(lambda: worker.of(RunClaimed))
    worker.worker.stop()
    wait_until(lambda: worker.of(RunEnded))
    assert [report.outcome for report in worker.of(RunEnded)] == [RunOutcome.HANDED_BACK]
    assert runtime.runs == []


def test_slots_change_while_tasks_run(start: Start) -> None:
    runtime = FakeRuntime()
    worker = start(runtime, queues={"default": 2})
    send(worker, "sleep 0.3\noutput done")
    wait_until(lambda: runtime.active_count == 1)
    worker.worker.set_queues({"gpu": 3})
    assert worker.worker.queues == {"gpu": 3}
    wait_until(lambda: figures(worker, "gpu").subscribers == 3)
    wait_until(lambda: worker.of(RunEnded))
    assert worker.of(RunEnded)[0].result == "done"
    wait_until(lambda: figures(worker).subscribers == 0)
    worker.worker.set_queues({"gpu": 1, "default": 1})
    wait_until(lambda: (figures(worker, "gpu").subscribers, figures(worker).subscribers) == (1, 1))


def test_the_first_heartbeat_is_sent_before_anything_is_taken(start: Start) -> None:
    worker = start(heartbeat_seconds=300.0)
    wait_until(lambda: worker.of(Heartbeat))
    send(worker)
    wait_until(lambda: worker.of(RunEnded))
    kinds = [type(message) for message in worker.heard]
    assert kinds.index(Heartbeat) < kinds.index(RunEnded)


def test_the_slots_of_a_queue_run_side_by_side(start: Start) -> None:
    runtime = FakeRuntime()
    worker = start(runtime, queues={"default": 3})
    for number in range(4):
        send(worker, "sleep 300", task_id=f"t{number}")
    wait_until(lambda: runtime.active_count == 3)
    assert figures(worker).size == 1
    assert worker.worker.running_count == 3


def test_a_broker_that_is_away_kills_no_run_and_loses_no_report(start: Start) -> None:
    runtime = FakeRuntime()
    worker = start(runtime, heartbeat_seconds=0.05)
    send(worker, "print before\nsleep 0.3\nprint after\noutput done")
    wait_until(lambda: runtime.active_count == 1)
    worker.broker.is_away = True
    wait_until(lambda: worker.worker.unacknowledged_count == 1)
    assert worker.of(RunEnded) == []
    worker.broker.is_away = False
    wait_until(lambda: worker.of(RunEnded))
    (report,) = worker.of(RunEnded)
    assert (report.outcome, report.result) == (RunOutcome.COMPLETED, "done")
    parts = worker.of(LogPrinted)
    assert [part.number for part in parts] == list(range(1, report.log_parts + 1))
    assert "".join(part.contents for part in parts) == "before\nafter\n"


def test_a_claim_that_can_not_be_sent_does_not_hold_up_the_run(start: Start) -> None:
    runtime = FakeRuntime()
    worker = start(runtime)
    worker.broker.is_away = True
    send(worker, "output done")
    wait_until(lambda: runtime.runs)
    worker.broker.is_away = False
    wait_until(lambda: worker.of(RunEnded))
    assert worker.of(RunEnded)[0].result == "done"


def test_what_could_not_be_reported_stays_in_the_queue(start: Start) -> None:
    runtime = FakeRuntime()
    worker = start(runtime)
    worker.broker.is_away = True
    send(worker, "output done")
    wait_until(lambda: worker.worker.unacknowledged_count == 1)
    worker.worker.stop()
    assert figures(worker).size == 1
