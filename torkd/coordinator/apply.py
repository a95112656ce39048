"""After the commit: hand tasks out, tell nodes and live views. What can't be sent now is sent later from the outbox."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Sequence
from typing import assert_never

from tork.errors import DatastoreUnavailable, Unavailable
from torkd.broker.messages import (
    AcknowledgeRuns,
    GrantRuns,
    JobTouched,
    LiveChanges,
    NodeOrder,
    RefuseRuns,
    RunTask,
    StopRuns,
)
from torkd.broker.protocol import Broker
from torkd.coordinator.handle import Handled
from torkd.datastore.protocol import Datastore, Dispatch
from torkd.engine.changes import OrderKind, TellNode
from torkd.engine.rows import TaskRow
from torkd.engine.view import View

log = logging.getLogger(__name__)


class Publisher:
    """Sends what committed batches caused. Safe to use from several threads."""

    def __init__(
        self,
        datastore: Datastore,
        broker: Broker,
        on_committed: Sequence[Callable[[Handled], None]] = (),
    ) -> None:
        """Each of `on_committed` is called with each batch first; it must be quick and not fail."""
        self._datastore = datastore
        self._broker = broker
        self._on_committed = on_committed
        self._published: deque[Dispatch] = deque()
        self._lock = threading.Lock()

    def publish(self, handled: Handled) -> None:
        """Send everything. Never raises for a server that is away: hand-outs stay in the outbox, the rest is repeated."""
        for hear in self._on_committed:
            hear(handled)
        try:
            self._hand_out(handled.view)
            for node_id, orders in _orders_by_node(handled.view.orders).items():
                self._broker.publish_orders(node_id, orders)
            if handled.versions:
                jobs = [JobTouched(job_id, version) for job_id, version in handled.versions.items()]
                self._broker.publish_live(LiveChanges(jobs=jobs))
        except Unavailable as error:
            log.warning("%s; what is not sent now goes out later", error)

    def _hand_out(self, view: View) -> None:
        ready: list[TaskRow] = []
        to_read: list[Dispatch] = []
        for task in view.sent_rows():
            if task.spec is None or _has_secrets(view, task):
                to_read.append(_dispatch(task))
            else:
                ready.append(task)
        if ready:
            self._send([_message(task) for task in ready], [_dispatch(task) for task in ready])
        if to_read:
            self._hand_out_stored(to_read)

    def _hand_out_stored(self, dispatches: list[Dispatch]) -> None:
        """Those whose message is not at hand. What is not current any more needs no message, nor its outbox row."""
        try:
            tasks = self._datastore.bodies(dispatches)
        except DatastoreUnavailable as error:
            log.warning("%s; %s tasks are handed out later", error, len(dispatches))
            return
        if tasks:
            self._send(tasks, dispatches)
        else:
            self.put_published(dispatches)

    def _send(self, tasks: list[RunTask], dispatches: list[Dispatch]) -> None:
        """The outbox has them until the broker has them: nobody has to wait here."""
        self._broker.send_tasks(tasks, lambda: self.put_published(dispatches))

    def take_published(self) -> list[Dispatch]:
        """The hand-outs whose outbox rows can go, once; give them back with `put_published` if the transaction fails."""
        with self._lock:
            taken = list(self._published)
            self._published.clear()
        return taken

    def put_published(self, dispatches: Collection[Dispatch]) -> None:
        """Keep them for the next transaction."""
        with self._lock:
            self._published.extend(dispatches)


def _dispatch(task: TaskRow) -> Dispatch:
    return Dispatch(task_id=task.id, dispatch=task.dispatch)


def _has_secrets(view: View, task: TaskRow) -> bool:
    job = view.jobs.get(task.job_id)
    return job is None or job.has_secrets


def _message(task: TaskRow) -> RunTask:
    assert task.spec is not None
    return RunTask(
        task_id=task.id,
        job_id=task.job_id,
        root_id=task.root_id,
        dispatch=task.dispatch,
        queue=task.queue,
        priority=task.priority,
        definition=task.spec,
    )


def _orders_by_node(orders: Collection[TellNode]) -> dict[str, list[NodeOrder]]:
    runs: defaultdict[tuple[str, OrderKind], list[str]] = defaultdict(list)
    for order in orders:
        runs[order.node_id, order.kind].append(order.run_id)
    by_node: defaultdict[str, list[NodeOrder]] = defaultdict(list)
    for (node_id, kind), run_ids in runs.items():
        by_node[node_id].append(_order(kind, run_ids))
    return by_node


def _order(kind: OrderKind, run_ids: list[str]) -> NodeOrder:
    match kind:
        case OrderKind.STOP:
            return StopRuns(run_ids=run_ids)
        case OrderKind.GRANT:
            return GrantRuns(run_ids=run_ids)
        case OrderKind.REFUSE:
            return RefuseRuns(run_ids=run_ids)
        case OrderKind.ACKNOWLEDGE:
            return AcknowledgeRuns(run_ids=run_ids)
        case _:
            assert_never(kind)
