"""What time brings: each thing at its turn, and nothing held up by another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from tests.support.builders import START
from tests.support.coordinator_fakes import UpkeepFake
from tests.support.messages import a_task_message
from tork.errors import BrokerUnavailable
from torkd.broker.memory import MemoryBroker
from torkd.broker.messages import RunTask
from torkd.coordinator import due, outbox
from torkd.coordinator.due import LIMIT, DueLoop
from torkd.coordinator.options import CoordinatorOptions
from torkd.coordinator.outbox import QueueWatch, check_epoch, send_leftovers
from torkd.datastore.protocol import Dispatch
from torkd.engine.events import EngineEvent, RetryDue


@pytest.fixture
def datastore() -> UpkeepFake:
    return UpkeepFake()


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.open()
    return broker


@pytest.fixture
def found() -> list[EngineEvent]:
    return []


@pytest.fixture
def loop(datastore: UpkeepFake, broker: MemoryBroker, found: list[EngineEvent]) -> DueLoop:
    return DueLoop(
        datastore.as_datastore,
        broker,
        CoordinatorOptions(node_id="c"),
        clock=lambda: START,
        new_id=lambda: "new",
        add_events=found.extend,
    )


def left_over(datastore: UpkeepFake, count: int, *, stale: int = 0) -> None:
    for number in range(count):
        dispatch = Dispatch(task_id=f"t{number}", dispatch=1)
        datastore.outbox.append(dispatch)
        if number >= stale:
            datastore.stored[dispatch] = a_task_message(f"t{number}")


def waiting(broker: MemoryBroker, name: str = "default") -> int:
    return sum(queue.size for queue in broker.queues() if queue.name == name)


def test_what_is_due_goes_to_the_batch_loop(loop: DueLoop, datastore: UpkeepFake, found: list[EngineEvent]) -> None:
    datastore.due = [RetryDue(task_id="t", job_id="j", root_id="j")]
    assert not loop.round()
    assert found == datastore.due


def test_when_much_is_due_the_next_look_comes_at_once(loop: DueLoop, datastore: UpkeepFake) -> None:
    datastore.due = [RetryDue(task_id=f"t{number}", job_id="j", root_id="j") for number in range(LIMIT)]
    assert loop.round()


def test_a_long_removal_of_old_rows_lets_other_things_have_their_turn(loop: DueLoop, datastore: UpkeepFake) -> None:
    datastore.old_rows = [500, 500, 20]
    rounds = [loop.round() for _ in range(5)]
    assert rounds == [True, True, True, False, False]
    assert datastore.calls.count("delete_old") == 4
    assert datastore.calls[:4] == ["events_due", "delete_old", "queues_with_hand_outs", "leftovers"]


def test_a_broker_that_is_away_keeps_neither_retries_nor_retention_waiting(
    loop: DueLoop, datastore: UpkeepFake, broker: MemoryBroker
) -> None:
    broker.close()
    datastore.name_of_epoch = "e"
    with pytest.raises(BrokerUnavailable):
        loop.round()
    assert datastore.calls == ["events_due", "delete_old"]


def test_leftovers_are_published_in_chunks_and_stale_ones_forgotten(
    datastore: UpkeepFake, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "CHUNK", 10)
    left_over(datastore, 35, stale=3)
    assert not send_leftovers(datastore.as_datastore, broker)
    assert waiting(broker) == 32
    assert datastore.outbox == []


def test_very_many_leftovers_leave_room_for_other_work(
    datastore: UpkeepFake, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "CHUNK", 1)
    left_over(datastore, outbox.CHUNKS + 5)
    assert send_leftovers(datastore.as_datastore, broker)
    assert waiting(broker) == outbox.CHUNKS


def test_leftovers_that_can_not_be_published_are_left(datastore: UpkeepFake, monkeypatch: pytest.MonkeyPatch) -> None:
    class Down(MemoryBroker):
        def publish_tasks(self, tasks: Sequence[RunTask]) -> None:
            raise BrokerUnavailable("down")

    left_over(datastore, 3)
    with pytest.raises(BrokerUnavailable):
        send_leftovers(datastore.as_datastore, Down())
    assert len(datastore.outbox) == 3


def test_a_new_broker_begins_an_epoch_once(datastore: UpkeepFake, broker: MemoryBroker) -> None:
    datastore.name_of_epoch = "of a broker that was wiped"
    assert check_epoch(datastore.as_datastore, broker, lambda: "e2")
    assert datastore.name_of_epoch == "e2"
    assert broker.has_epoch("e2")
    assert not check_epoch(datastore.as_datastore, broker, lambda: "e3")


def test_whoever_loses_the_race_for_an_epoch_does_nothing_more(datastore: UpkeepFake, broker: MemoryBroker) -> None:
    datastore.wins_epochs = False
    assert not check_epoch(datastore.as_datastore, broker, lambda: "e2")
    assert datastore.name_of_epoch == ""


def test_a_wiped_broker_is_served_in_the_same_round(
    loop: DueLoop, datastore: UpkeepFake, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop.round()
    monkeypatch.setattr(due, "EPOCH_EVERY", 0.0)
    datastore.name_of_epoch = "another"
    left_over(datastore, 1)
    loop.round()
    assert waiting(broker) == 1


Step = Callable[[MemoryBroker], object]


@pytest.mark.parametrize(
    ("between", "is_lost"),
    [
        pytest.param(lambda _: None, True, id="empty all the time"),
        pytest.param(lambda broker: broker.publish_tasks([a_task_message()]), False, id="messages wait"),
    ],
)
def test_hand_outs_are_sent_again_after_two_looks_at_an_empty_queue(
    datastore: UpkeepFake, broker: MemoryBroker, between: Step, is_lost: bool
) -> None:
    broker.consume_tasks("default")
    datastore.handed_out = {"default"}
    watch = QueueWatch(datastore.as_datastore, broker)
    assert watch.look(START) == 0
    between(broker)
    assert watch.look(START + timedelta(seconds=29)) == 0
    assert watch.look(START + timedelta(seconds=30)) == int(is_lost)
    assert datastore.unseen == ({"default": START} if is_lost else {})


def test_a_queue_that_was_not_empty_in_between_is_watched_anew(datastore: UpkeepFake, broker: MemoryBroker) -> None:
    slot = broker.consume_tasks("default")
    datastore.handed_out = {"default"}
    watch = QueueWatch(datastore.as_datastore, broker)
    watch.look(START)
    broker.publish_tasks([a_task_message()])
    watch.look(START + timedelta(seconds=20))
    slot.receive(0)
    assert watch.look(START + timedelta(seconds=35)) == 0
    assert watch.look(START + timedelta(seconds=65)) == 1


def test_hand_outs_to_a_queue_that_the_broker_has_lost_are_sent_again(
    datastore: UpkeepFake, broker: MemoryBroker
) -> None:
    datastore.handed_out = {"gone"}
    watch = QueueWatch(datastore.as_datastore, broker)
    watch.look(START)
    assert watch.look(START + timedelta(seconds=30)) == 1
    assert datastore.unseen == {"gone": START}


def test_queues_to_which_nothing_is_handed_out_are_not_watched(datastore: UpkeepFake, broker: MemoryBroker) -> None:
    broker.consume_tasks("default")
    watch = QueueWatch(datastore.as_datastore, broker)
    watch.look(START)
    watch.look(START + timedelta(hours=1))
    assert datastore.unseen == {}
