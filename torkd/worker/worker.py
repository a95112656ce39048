"""The worker: slots that take tasks from queues and have a runtime execute them, from start to a clean end."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime

from tork.node import Node
from torkd.broker.messages import RunClaimed
from torkd.broker.protocol import Broker
from torkd.hooks.host_env import parse_host_variables
from torkd.middleware import RunHooks
from torkd.runtime.lost_nodes import LostNodes
from torkd.runtime.protocol import Runtime
from torkd.runtime.stopping import StopReason
from torkd.sealing import SealedBodies
from torkd.tracing.protocol import Tracing
from torkd.worker.claims import Claims
from torkd.worker.deadlines import Deadlines
from torkd.worker.execution import Executor
from torkd.worker.flushing import LogFlusher
from torkd.worker.heartbeat import Heart
from torkd.worker.kept import KeptRuns
from torkd.worker.options import WorkerOptions
from torkd.worker.orders import OrderReader
from torkd.worker.report import Reporter
from torkd.worker.resuming import runs_to_take_up
from torkd.worker.running import Run, Runs
from torkd.worker.slot import Slot

_CLEAN_UP_SECONDS = 10.0
"""What a runtime has, beyond the grace, to clean up after a task that was stopped."""
_LAST_REPORT_SECONDS = 2.0
"""How long a slot that has ended its run may try to tell so at shutdown."""
_LOOK_SECONDS = 0.02

_LOG = logging.getLogger(__name__)


class Worker:
    """Runs tasks. Broker and runtime are open when it starts and belong to the caller, who closes them afterwards."""

    def __init__(
        self,
        broker: Broker,
        runtime: Runtime,
        options: WorkerOptions,
        *,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        environ: Mapping[str, str] = os.environ,
        lost_nodes: LostNodes | None = None,
        seal: SealedBodies | None = None,
        hooks: RunHooks | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """`lost_nodes` is shared with a runtime that cleans up after other nodes of this host; `seal` closes what is kept of runs;
        `hooks` are what the operator registered; with `tracing` tasks are told their place in a trace.
        """
        lost_nodes = lost_nodes or LostNodes(options.lease_seconds)
        self._broker = broker
        self._options = options
        self.lease_id = new_id()
        """This incarnation: a restarted worker keeps its node id and gets a new lease."""
        self._runtime = runtime
        self._runs = Runs()
        self._kept = KeptRuns(options.runs_directory, seal or SealedBodies())
        self._taken_up: list[Run] | None = None
        """Runs of a predecessor; None until they were looked for."""
        self._reporter = Reporter(broker, self._kept.remove)
        self._claims = Claims(broker, options.claim_delay_seconds)
        self._deadlines = Deadlines()
        self._flusher = LogFlusher()
        self._heart = Heart(
            broker,
            runtime,
            options,
            lease_id=self.lease_id,
            runs=self._runs,
            reporter=self._reporter,
            lost_nodes=lost_nodes,
            now=now,
        )
        self._orders = OrderReader(broker, options.node_id, self._runs, self._reporter, lost_nodes)
        self._executor = Executor(
            broker=broker,
            runtime=runtime,
            options=options,
            lease_id=self.lease_id,
            runs=self._runs,
            kept=self._kept,
            reporter=self._reporter,
            claims=self._claims,
            deadlines=self._deadlines,
            flusher=self._flusher,
            host_variables=parse_host_variables(options.host_variables),
            environ=environ,
            now=now,
            new_id=new_id,
            hooks=hooks or RunHooks(),
            tracing=tracing,
        )
        self._lock = threading.Lock()
        """Guards the slots and whether more may be made."""
        self._slots: list[Slot] = []
        self._leaving: list[Slot] = []
        """Slots that were taken away and may still have a task under way."""
        self._is_draining = False
        self._drains = threading.Lock()
        self._hurry = threading.Event()

    def prepare(self) -> list[RunClaimed]:
        """Find the runs of a predecessor that still go on, or whose end is not told yet; this worker's claims to them.

        A coordinator that heard the claims before it looks for lost runs loses none. May take half a lease when the runtime
        does not answer. Called by `start` if nobody did before.
        """
        if self._taken_up is None:
            self._taken_up = runs_to_take_up(self._kept, self._runtime, self._options.lease_seconds / 2)
            for run in self._taken_up:
                self._runs.add(run)
        return [run.claim(self._options.node_id, self.lease_id, redelivered=False) for run in self._taken_up]

    def start(self) -> None:
        """Send the first heartbeat, take up the runs of a predecessor and take tasks. Returns at once if `prepare` was called."""
        self.prepare()
        self._deadlines.start()
        self._claims.start()
        self._flusher.start()
        self._orders.start()
        self._heart.start()
        self.set_queues(self._options.queues)

    def set_queues(self, queues: Mapping[str, int]) -> None:
        """Have so many slots on each queue from now on. Slots that go finish the task they have."""
        with self._lock:
            if self._is_draining:
                return
            self._leaving = [slot for slot in self._leaving if slot.thread.is_alive()]
            wanted, kept = Counter(queues), []
            for slot in self._slots:
                wanted[slot.queue] -= 1
                if wanted[slot.queue] >= 0:
                    kept.append(slot)
                else:
                    slot.leave()
                    self._leaving.append(slot)
            started = [self._new_slot(queue) for queue in wanted.elements()]
            self._slots = kept + started
            for slot in [*started, *self._slots_beyond()]:
                slot.thread.start()

    def _new_slot(self, queue: str) -> Slot:
        """A run of a predecessor goes first."""
        waiting = self._taken_up or []
        first = next((run for run in waiting if run.message.queue == queue and not run.has_ended), None)
        if first is not None:
            waiting.remove(first)
        return Slot(queue, self._broker, self._executor, first=first)

    def _slots_beyond(self) -> list[Slot]:
        """For runs that found no slot, and for those that are only reported: slots that take nothing else."""
        beyond = [Slot(run.message.queue, self._broker, self._executor, first=run) for run in self._taken_up or []]
        self._taken_up = []
        for slot in beyond:
            slot.leave()
        self._leaving += beyond
        return beyond

    def drain(self, seconds: float | None = None, *, leave: bool = False) -> None:
        """Take no more tasks; those that run have so many seconds (`drain_seconds` if not said), then are handed back.

        With `leave`, runs that a successor can take up are left to it instead.
        Returns when nothing of any task is left alive and all is reported, or when a runtime does not come to its end.
        Heartbeats go on until then. A second call waits for the first; `stop` makes both hurry.
        """
        deadline = time.monotonic() + (self._options.drain_seconds if seconds is None else seconds)
        with self._drains:
            if not self._is_draining:
                self._drain(deadline, leave=leave)

    def stop(self) -> None:
        """End now: what runs is stopped and handed back. Returns when nothing of it is left."""
        self._hurry.set()
        self.drain(0.0)

    def node(self) -> Node:
        """This worker as its heartbeats tell it."""
        return self._heart.node()

    @property
    def failure(self) -> str | None:
        """Why it can't run tasks now (for `/health`), None when it can."""
        return self._heart.failure

    @property
    def running_count(self) -> int:
        """How many tasks are in hand."""
        return len(self._runs)

    @property
    def unacknowledged_count(self) -> int:
        """How many reports no coordinator has acknowledged yet."""
        return self._reporter.unacknowledged_count

    @property
    def queues(self) -> dict[str, int]:
        """The slots of each queue."""
        with self._lock:
            return dict(Counter(slot.queue for slot in self._slots))

    def _drain(self, deadline: float, *, leave: bool) -> None:
        with self._lock:
            self._is_draining = True
            slots, self._slots = [*self._slots, *self._leaving], []
        for slot in slots:
            slot.leave()
        self._wait_for(slots, deadline, until_hurry=True)
        self._runs.stop_all(StopReason.DRAINED, "the worker shut down before the task was done", leave=leave)
        dead_by = time.monotonic() + self._options.grace_seconds + _CLEAN_UP_SECONDS
        self._wait_for_runs(dead_by)
        self._wait_for(slots, time.monotonic() + _LAST_REPORT_SECONDS, until_hurry=False)
        self._reporter.abandon()
        self._wait_for(slots, time.monotonic() + _LAST_REPORT_SECONDS, until_hurry=False)
        for slot in slots:
            if slot.thread.is_alive():
                _LOG.error("a slot of queue %s did not end: its runtime does not stop its task", slot.queue)
        self._heart.close()
        self._orders.close()
        self._claims.close()
        self._flusher.close()
        self._deadlines.close()

    def _wait_for(self, slots: list[Slot], deadline: float, *, until_hurry: bool) -> None:
        for slot in slots:
            while slot.thread.is_alive() and time.monotonic() < deadline:
                if until_hurry and self._hurry.is_set():
                    return
                slot.thread.join(_LOOK_SECONDS)

    def _wait_for_runs(self, deadline: float) -> None:
        while self._runs.alive_count() and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
