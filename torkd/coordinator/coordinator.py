"""A coordinator: the threads that carry jobs on, and what people ask of it. Any number may run; none is special."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime

import psutil

from tork.errors import BrokerUnavailable, NotFound
from tork.job import JobDefinition
from tork.node import Node, NodeStatus
from torkd.broker.messages import Heartbeat, RunClaimed
from torkd.broker.protocol import Broker, EventConsumer
from torkd.broker.queues import LOGS, TASK_EVENT_QUEUES
from torkd.clock import utc_now
from torkd.coordinator.apply import Publisher
from torkd.coordinator.due import DueLoop
from torkd.coordinator.handle import Handled, handle
from torkd.coordinator.heartbeats import HeartbeatLoop
from torkd.coordinator.logs import PARTS_IN_HAND, LogLoop
from torkd.coordinator.loop import BatchLoop, children_due
from torkd.coordinator.notices import Notices
from torkd.coordinator.observing import Observer, tally_of
from torkd.coordinator.options import CoordinatorOptions
from torkd.coordinator.outbox import check_epoch
from torkd.coordinator.schedules import Schedules
from torkd.coordinator.submissions import Submissions
from torkd.coordinator.tick_loop import TickLoop
from torkd.coordinator.traces import Traces
from torkd.coordinator.webhooks import Sender, WebhookLoop
from torkd.datastore.account_protocol import Submitter
from torkd.datastore.protocol import Accepted, Datastore, IdempotencyKey
from torkd.engine.events import (
    CancelRequested,
    EngineEvent,
    JobSubmitted,
    RestartRequested,
    RetryRequested,
    SkipRequested,
)
from torkd.middleware import Told

log = logging.getLogger(__name__)

STOP_SECONDS = 15.0
"""How long the threads may take to end: longer than any transaction."""
DRAIN_SECONDS = 5.0
"""How long what waits in a broker of ours is handled afterwards, logs and events each."""
NOTICE_SECONDS = 5.0
"""How long middleware is still told of what was committed."""
COMMAND_WAIT_SECONDS = 10.0
"""How long a person's command waits for a job that is being worked on."""


GUEST = Submitter()


class Coordinator:
    """Carries jobs on until it is stopped. Commands may come from any thread, started or not."""

    def __init__(
        self,
        datastore: Datastore,
        broker: Broker,
        options: CoordinatorOptions,
        *,
        new_id: Callable[[], str],
        clock: Callable[[], datetime] = utc_now,
        observer: Observer | None = None,
        told: Told | None = None,
        sender: Sender | None = None,
        traces: Traces | None = None,
    ) -> None:
        """`observer` is told what batches bring about; `told` is whatever the operator registered to be told of changes. Without a
        `sender` webhooks are stored for another coordinator to deliver. `traces` makes spans of what has ended.
        """
        self._datastore = datastore
        self._broker = broker
        self._options = options
        self._new_id = new_id
        self._clock = clock
        self._observer = observer
        self._notices = Notices(datastore, told) if told else None
        self._traces = traces
        self._webhooks = (
            WebhookLoop(datastore, sender, node_id=options.node_id, clock=clock) if sender is not None else None
        )
        listeners = (self._notices, self._traces, self._webhooks)
        self._publisher = Publisher(datastore, broker, [each.committed for each in listeners if each is not None])
        self._submissions = Submissions(datastore, self._publish_commanded, clock=clock, new_id=new_id)
        self._ticks = TickLoop(
            datastore, new_id=new_id, publish=self._publish_commanded, cancel=self.cancel, tidy_soon=self._tidy_soon
        )
        self._schedules = Schedules(
            datastore, new_id=new_id, zone=options.zone, publish=self._publish_commanded, loop=self._ticks
        )
        self._loops: list[BatchLoop] = []
        self._due: DueLoop | None = None
        self._heartbeats: HeartbeatLoop | None = None
        self._logs: LogLoop | None = None
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._started_at = clock()

    def start(self, taken_up: Sequence[RunClaimed] = ()) -> None:
        """Start the threads. Datastore and broker are open; when one of them is away nothing is started, and it may be tried again.

        `taken_up` are the claims of runs that outlived the last worker: they are dealt with before anything is found lost or
        is handed out again, so that a run that goes on never has a rival.
        """
        if self._options.broker_is_ours:
            self._datastore.end_leases()
        if self._notices is not None:
            self._notices.start()
        if self._traces is not None:
            self._traces.start()
        if taken_up:
            self._take_up(taken_up)
        check_epoch(self._datastore, self._broker, self._new_id, starting=self._options.broker_is_ours)
        due = DueLoop(
            self._datastore, self._broker, self._options, clock=self._clock, new_id=self._new_id, add_events=self._add
        )
        readers = self._open_readers(max(self._options.loops, 1))
        self._due = due
        self._loops = [
            BatchLoop(
                self._datastore,
                self._publisher,
                reader,
                batch_size=self._options.batch_size,
                clock=self._clock,
                new_id=self._new_id,
                on_retry_due=due.retry_due_at,
                observer=self._observer,
            )
            for reader in readers[1:]
        ]
        self._heartbeats = HeartbeatLoop(
            self._datastore,
            self._broker,
            lease=self._options.lease,
            add_events=self._add,
            on_seen=self._notices.seen if self._notices else None,
        )
        self._logs = LogLoop(self._datastore, self._broker, readers[0], self._observer)
        for name, run in [
            *((f"batches-{number}", loop.run) for number, loop in enumerate(self._loops)),
            ("due", due.run),
            ("ticks", self._ticks.run),
            ("heartbeats", self._heartbeats.run),
            ("logs", self._logs.run),
            ("alive", self._keep_alive),
        ]:
            thread = threading.Thread(target=run, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)
        if self._webhooks is not None:
            self._webhooks.start()

    def _open_readers(self, loops: int) -> list[EventConsumer]:
        """Of logs, and of what each batch loop reads: all or none."""
        readers: list[EventConsumer] = []
        with ExitStack() as opened:
            readers.append(self._broker.consume_events([LOGS], most_in_hand=PARTS_IN_HAND))
            opened.callback(readers[-1].close)
            for _ in range(loops):
                readers.append(self._broker.consume_events(TASK_EVENT_QUEUES))
                opened.callback(readers[-1].close)
            opened.pop_all()
        return readers

    def stop(self) -> None:
        """End after what is in hand; what still waits in a broker of ours is handled first. Takes a bounded time, once."""
        self._stopping.set()
        for loop in (self._ticks, self._due, self._heartbeats, *self._loops, self._logs):
            if loop is not None:
                loop.stop()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(timeout=max(deadline - time.monotonic(), 0.0))
        if self._options.broker_is_ours and not any(thread.is_alive() for thread in self._threads):
            self._drain()
        if self._webhooks is not None:
            self._webhooks.stop(drain_seconds=self._options.webhook_drain)
        for reader in (self._heartbeats, *self._loops, self._logs):
            if reader is not None:
                reader.close()
        if self._notices is not None:
            self._notices.close(NOTICE_SECONDS)
        if self._traces is not None:
            self._traces.close(NOTICE_SECONDS)
        self._threads, self._loops = [], []
        self._due = self._heartbeats = self._logs = None

    def _drain(self) -> None:
        if self._logs is not None:
            self._logs.drain(DRAIN_SECONDS)
        if self._loops:
            self._loops[0].drain(DRAIN_SECONDS)

    def submit(
        self, definition: JobDefinition, *, key: IdempotencyKey | None, submitter: Submitter = GUEST
    ) -> Accepted:
        """Accept a job: when this returns it will run, whatever happens. A repeated key answers with its first job."""
        event = JobSubmitted(
            job_id=self._new_id(), definition=definition, created_by=submitter.user_id, viewers=submitter.viewers
        )
        return self._submissions.submit(event, key, submitter.act)

    def schedule(
        self, definition: JobDefinition, *, key: IdempotencyKey | None, submitter: Submitter = GUEST
    ) -> Accepted:
        """Take a job that starts again and again. A repeated key answers with its first schedule."""
        return self._schedules.add(definition, submitter=submitter, key=key)

    def pause_schedule(self, schedule_id: str) -> None:
        """Let it fire no more. Raises `NotFound` or `StateConflict`."""
        self._schedules.pause(schedule_id)

    def resume_schedule(self, schedule_id: str) -> None:
        """Let it fire again. Raises `NotFound` or `StateConflict`."""
        self._schedules.resume(schedule_id)

    def delete_schedule(self, schedule_id: str) -> None:
        """Remove it with its jobs. Raises `NotFound`."""
        self._schedules.delete(schedule_id)

    def run_schedule(self, schedule_id: str) -> Accepted:
        """Start its job now. Raises `NotFound` or `StateConflict`."""
        return self._schedules.run(schedule_id)

    def cancel(self, job_id: str) -> None:
        """End a job. Raises `NotFound`, or `StateConflict` when it has ended."""
        self._command(CancelRequested(job_id=job_id, root_id=self._root_of(job_id)))

    def restart(self, job_id: str) -> None:
        """Let a failed or cancelled job go on. Raises `NotFound`, or `StateConflict` saying why not."""
        self._command(RestartRequested(job_id=job_id, root_id=self._root_of(job_id)))

    def retry(self, job_id: str, *, task_id: str = "") -> None:
        """Run again what failed in a job, or one task in it or in its sub-jobs. Raises `NotFound`, or `StateConflict` saying why not."""
        root_id = self._root_of(job_id)
        if task_id and self._root_of(self._datastore.get_task_summary(task_id).job_id) != root_id:
            raise NotFound("task not found")
        self._command(RetryRequested(job_id=job_id, root_id=root_id, task_id=task_id))

    def skip(self, task_id: str, *, reason: str) -> None:
        """Let a job go on without a task. Raises `NotFound`, or `StateConflict` saying why not."""
        job_id = self._datastore.get_task_summary(task_id).job_id
        self._command(SkipRequested(task_id=task_id, job_id=job_id, root_id=self._root_of(job_id), reason=reason))

    def _tidy_soon(self) -> None:
        if self._due is not None:
            self._due.tidy_soon()

    def _take_up(self, claims: Sequence[RunClaimed]) -> None:
        handled = handle(self._datastore, claims, now=self._clock(), new_id=self._new_id, wait=COMMAND_WAIT_SECONDS)
        for claim, error in handled.failed:
            log.error("a run of before can't be taken up: %s", error, extra={"task_id": getattr(claim, "task_id", "")})
        self._publish(handled)

    def _root_of(self, job_id: str) -> str:
        root_id = self._datastore.root_of(job_id)
        if root_id is None:
            raise NotFound("job not found")
        return root_id

    def _command(self, event: EngineEvent) -> None:
        handled = handle(self._datastore, [event], now=self._clock(), new_id=self._new_id, wait=COMMAND_WAIT_SECONDS)
        if handled.failed:
            raise handled.failed[0][1]
        self._publish_commanded(handled)

    def _publish_commanded(self, handled: Handled) -> None:
        """What people and schedules asked for is counted too, but not among the batches of events."""
        if self._observer is not None:
            self._observer.command_handled(tally_of(handled, ()))
        self._publish(handled)

    def _publish(self, handled: Handled) -> None:
        self._publisher.publish(handled)
        if handled.view.unfold:
            self._add(children_due(handled.view))

    def _add(self, events: Iterable[EngineEvent]) -> None:
        known, loops = list(events), self._loops
        if known and loops:
            loops[hash(known[0].root_id) % len(loops)].add(known)

    def _keep_alive(self) -> None:
        """Show this coordinator among the nodes."""
        process = psutil.Process()
        options = self._options
        while True:
            now = self._clock()
            node = Node(
                id=options.node_id,
                name=options.name,
                started_at=self._started_at,
                cpu_percent=process.cpu_percent(),
                last_heartbeat_at=now,
                status=NodeStatus.UP,
                hostname=options.hostname,
                port=options.port,
                task_count=0,
                version=options.version,
            )
            try:
                self._broker.publish_events([Heartbeat(node=node, lease_id=f"{options.node_id}-coordinator")])
            except BrokerUnavailable as error:
                log.warning("%s", error)
            except Exception:
                log.exception("a heartbeat failed")
            if self._stopping.wait(options.heartbeat):
                return
