"""After the commit: what leaves, and which outbox rows may go."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.support.builders import START, a_task
from tests.support.coordinator_fakes import UpkeepFake
from tests.support.messages import a_task_message
from tork.errors import BrokerUnavailable, DatastoreUnavailable
from tork.job import JobState
from tork.task import TaskState
from torkd.broker.memory import MemoryBroker
from torkd.broker.messages import AcknowledgeRuns, JobTouched, LiveChanges, NodeOrder, RunTask, StopRuns
from torkd.coordinator.apply import Publisher
from torkd.coordinator.handle import Handled
from torkd.datastore.protocol import Dispatch
from torkd.engine.changes import OrderKind, TellNode
from torkd.engine.rows import JobRow, TaskKind, TaskRow
from torkd.engine.view import View


class RecordingBroker(MemoryBroker):
    def __init__(self) -> None:
        super().__init__()
        self.open()
        self.tasks: list[RunTask] = []
        self.orders: list[tuple[str, Sequence[NodeOrder]]] = []
        self.live: list[LiveChanges] = []
        self.is_down = False
        self.unconfirmed: list[Callable[[], None]] | None = None
        """Confirmations that wait for the test, if it wants them to."""

    def send_tasks(self, tasks: Sequence[RunTask], on_confirmed: Callable[[], None]) -> None:
        if self.is_down:
            raise BrokerUnavailable("down")
        self.tasks.extend(tasks)
        if self.unconfirmed is None:
            on_confirmed()
        else:
            self.unconfirmed.append(on_confirmed)

    def publish_orders(self, node_id: str, orders: Sequence[NodeOrder]) -> None:
        self.orders.append((node_id, orders))

    def publish_live(self, changes: LiveChanges) -> None:
        self.live.append(changes)


def a_row(task_id: str, *, state: TaskState = TaskState.SCHEDULED, with_spec: bool = True) -> TaskRow:
    return TaskRow(
        id=task_id,
        job_id="j",
        root_id="j",
        position=1,
        kind=TaskKind.REGULAR,
        state=state,
        queue="q",
        dispatch=3,
        created_at=START,
        spec=a_task() if with_spec else None,
    )


def handled(*rows: TaskRow, has_secrets: bool = False) -> Handled:
    job = JobRow(
        id="j", root_id="j", name="j", state=JobState.RUNNING, task_count=1, created_by="a", has_secrets=has_secrets
    )
    view = View(jobs={"j": job}, tasks={row.id: row for row in rows}, sends=[row.id for row in rows])
    return Handled(view, {})


def dispatch(task_id: str) -> Dispatch:
    return Dispatch(task_id=task_id, dispatch=3)


@pytest.fixture
def datastore() -> UpkeepFake:
    return UpkeepFake()


@pytest.fixture
def broker() -> RecordingBroker:
    return RecordingBroker()


@pytest.fixture
def publisher(datastore: UpkeepFake, broker: RecordingBroker) -> Publisher:
    return Publisher(datastore.as_datastore, broker)


def test_messages_at_hand_leave_without_asking_the_database(
    publisher: Publisher, datastore: UpkeepFake, broker: RecordingBroker
) -> None:
    publisher.publish(handled(a_row("a"), a_row("b")))
    assert [(task.task_id, task.dispatch, task.queue) for task in broker.tasks] == [("a", 3, "q"), ("b", 3, "q")]
    assert datastore.calls == []
    assert publisher.take_published() == [dispatch("a"), dispatch("b")]
    assert publisher.take_published() == [], "they are taken once"


@pytest.mark.parametrize(
    "done", [handled(a_row("a", with_spec=False)), handled(a_row("a"), has_secrets=True)], ids=["no spec", "secrets"]
)
def test_messages_with_more_than_is_at_hand_are_read(
    publisher: Publisher, datastore: UpkeepFake, broker: RecordingBroker, done: Handled
) -> None:
    datastore.stored[dispatch("a")] = a_task_message("a", mask=["hidden"])
    publisher.publish(done)
    assert [task.mask for task in broker.tasks] == [["hidden"]]
    assert publisher.take_published() == [dispatch("a")]


def test_hand_outs_that_ended_within_their_batch_stay_here(publisher: Publisher, broker: RecordingBroker) -> None:
    publisher.publish(handled(a_row("a", state=TaskState.CANCELLED)))
    assert broker.tasks == []


def test_hand_outs_that_could_not_leave_stay_in_the_outbox(publisher: Publisher, broker: RecordingBroker) -> None:
    broker.is_down = True
    publisher.publish(handled(a_row("a")))
    assert publisher.take_published() == []


def test_hand_outs_stay_in_the_outbox_until_the_broker_has_confirmed_them(
    publisher: Publisher, broker: RecordingBroker
) -> None:
    broker.unconfirmed = []
    publisher.publish(handled(a_row("a"), a_row("b")))
    assert len(broker.tasks) == 2
    assert publisher.take_published() == []
    broker.unconfirmed[0]()
    assert publisher.take_published() == [dispatch("a"), dispatch("b")]


def test_hand_outs_whose_message_could_not_be_read_stay_in_the_outbox_and_the_rest_leaves(
    publisher: Publisher, datastore: UpkeepFake, broker: RecordingBroker
) -> None:
    datastore.failures = [DatastoreUnavailable("away")]
    done = handled(a_row("at hand"), a_row("to read", with_spec=False))
    done.view.orders.append(TellNode(OrderKind.STOP, "n", "r"))
    publisher.publish(done)
    assert [task.task_id for task in broker.tasks] == ["at hand"]
    assert publisher.take_published() == [dispatch("at hand")]
    assert len(broker.orders) == 1


def test_orders_are_gathered_by_node_and_kind(publisher: Publisher, broker: RecordingBroker) -> None:
    done = handled()
    done.view.orders += [
        TellNode(OrderKind.STOP, "n1", "r1"),
        TellNode(OrderKind.ACKNOWLEDGE, "n2", "r2"),
        TellNode(OrderKind.STOP, "n1", "r3"),
    ]
    publisher.publish(done)
    assert broker.orders == [("n1", [StopRuns(run_ids=["r1", "r3"])]), ("n2", [AcknowledgeRuns(run_ids=["r2"])])]


def test_live_views_get_one_message_a_batch(publisher: Publisher, broker: RecordingBroker) -> None:
    done = handled()
    done.versions = {"j1": 4, "j2": 9}
    publisher.publish(done)
    publisher.publish(handled())
    assert broker.live == [LiveChanges(jobs=[JobTouched("j1", 4), JobTouched("j2", 9)])]


def test_what_a_failed_transaction_could_not_forget_is_kept(publisher: Publisher) -> None:
    publisher.publish(handled(a_row("a")))
    publisher.put_published(publisher.take_published())
    assert publisher.take_published() == [dispatch("a")]
