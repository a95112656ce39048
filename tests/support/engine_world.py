"""A whole installation in memory, as unreliable as a real one: messages are lost, repeated and mixed up, workers die.

What is lost comes back the way it does in reality: hand-outs are sent again from the datastore, workers repeat reports
that nobody acknowledged, leases end. After every batch the promises of the engine are checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tests.support import engine_promises
from tests.support.builders import RUN_END, RUN_START
from tests.support.engine_model import EngineModel, Outcome
from tork.errors import StateConflict
from tork.job import JobDefinition
from tork.task import TaskState
from torkd.broker.messages import RunClaimed, RunEnded, RunOutcome, RunProgressed
from torkd.engine.changes import OrderKind, SetResult, TellNode
from torkd.engine.events import (
    ChildrenDue,
    EngineEvent,
    JobSubmitted,
    RestartRequested,
    RetryDue,
    RetryRequested,
    RunLost,
    SkipRequested,
)

MOST_ROUNDS = 600
"""A job that has not ended after so many fair rounds hangs."""


@dataclass(frozen=True)
class Delivery:
    """A task message in a queue."""

    task_id: str
    dispatch: int
    redelivered: bool = False


@dataclass
class Run:
    """One execution of a task on a node."""

    run_id: str
    node_id: str
    lease_id: str
    delivery: Delivery
    waits_for_grant: bool
    report: RunEnded | None = None
    """Sent, and not acknowledged yet."""


@dataclass
class World:
    """The coordinator's datastore, the broker's queues, the workers."""

    model: EngineModel = field(default_factory=EngineModel)
    queue: list[Delivery] = field(default_factory=list)
    mail: list[EngineEvent] = field(default_factory=list)
    """To the coordinators."""
    runs: dict[str, Run] = field(default_factory=dict)
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    """Of every run there ever was."""
    results_told: Counter[tuple[str, str]] = field(default_factory=Counter)
    incarnations: Counter[str] = field(default_factory=Counter)
    runs_started: int = 0

    def submit(self, definition: JobDefinition) -> None:
        """Somebody submits a job."""
        self.handle([JobSubmitted(job_id="job", definition=definition, created_by="ann")])

    # Coordinators

    def handle(self, events: Sequence[EngineEvent]) -> Outcome:
        """Handle a batch, which must do what handling one event after the other does, and repeating it nothing more."""
        before = self.model.copy()
        twin = self.model.copy()
        outcome = self.model.handle(*events, all_waiting=True)
        self._check_errors(outcome)
        for event in events if len(events) > 1 else []:
            twin.handle(event, all_waiting=True)
        if reopened := self._reopened(before, events):
            assert reopened <= {due.task_id for due in self.model.unfolding}, "its children come in another batch"
        elif len(events) > 1:
            engine_promises.same_outcome(self.model, twin)
        elif not isinstance(events[0], ChildrenDue | RestartRequested | RetryRequested) and not self._is_held_back(
            events[0]
        ):
            self._check_repetition(events[0])
        restarted = any(
            isinstance(event, RestartRequested | RetryRequested | SkipRequested | ChildrenDue) for event in events
        )
        engine_promises.kept(before, self.model, restarted=restarted)
        self._count_results(outcome)
        self._check_owners()
        self._carry_out(outcome)
        return outcome

    def _reopened(self, before: EngineModel, events: Sequence[EngineEvent]) -> set[str]:
        """Tasks whose children were due before the batch ran them again: of those it has loaded no children."""
        due = {event.task_id for event in events if isinstance(event, ChildrenDue)} if len(events) > 1 else set()
        return {
            task_id
            for task_id in due & before.tasks.keys()
            if before.tasks[task_id].state is not TaskState.RUNNING
            and self.model.tasks[task_id].state is TaskState.RUNNING
        }

    def _check_errors(self, outcome: Outcome) -> None:
        for error in outcome.errors:
            if error is not None and not isinstance(error, StateConflict):
                raise error

    def _is_held_back(self, event: EngineEvent) -> bool:
        """Skipping such a task notes the reason, every time."""
        task = self.model.tasks.get(event.task_id) if isinstance(event, SkipRequested) else None
        return task is not None and task.state is TaskState.CREATED

    def _check_repetition(self, event: EngineEvent) -> None:
        again = self.model.copy().handle(event, all_waiting=True)
        assert all(isinstance(change, TellNode) for change in again.changes[0]), f"{event} came twice: {again.changes}"

    def _count_results(self, outcome: Outcome) -> None:
        for change in [change for changes in outcome.changes for change in changes]:
            if isinstance(change, SetResult):
                self.results_told[change.job_id, change.var] += 1
        expected = Counter(
            (task.job_id, task.var)
            for task in self.model.tasks.values()
            if task.state is TaskState.COMPLETED and task.var and task.result
        )
        assert self.results_told == expected, "each result is applied once"

    def _check_owners(self) -> None:
        for task in self.model.tasks.values():
            if task.run_id is not None:
                assert self.deliveries[task.run_id] in {
                    Delivery(task.id, task.dispatch),
                    Delivery(task.id, task.dispatch, redelivered=True),
                }, f"only a run of the latest hand-out can own {task}"
            if task.result and task.run_id is not None:
                assert task.result == f"by {task.run_id}", f"only the owner reports for {task}"

    def _carry_out(self, outcome: Outcome) -> None:
        self.queue += [Delivery(task_id, self.model.tasks[task_id].dispatch) for task_id in outcome.sent]
        for order in outcome.orders:
            run = self.runs.get(order.run_id)
            if run is None:
                continue
            if order.kind is OrderKind.GRANT:
                run.waits_for_grant = False
            elif order.kind is OrderKind.ACKNOWLEDGE:
                if run.report is not None:
                    del self.runs[run.run_id]
            else:
                del self.runs[run.run_id]

    # Brokers

    def deliver(self, number: int, node_id: str) -> None:
        """A worker takes a task message."""
        delivery = self.queue.pop(number % len(self.queue))
        self.runs_started += 1
        run = Run(
            f"run{self.runs_started}",
            node_id,
            f"{node_id}.{self.incarnations[node_id]}",
            delivery,
            waits_for_grant=delivery.redelivered,
        )
        self.runs[run.run_id] = run
        self.deliveries[run.run_id] = delivery
        self.claim(run)

    def send_again(self) -> None:
        """The broker had lost its contents: everything that no run holds is sent once more."""
        self.queue = [
            Delivery(task.id, task.dispatch) for task in self.model.tasks.values() if task.state is TaskState.SCHEDULED
        ]

    # Workers

    def claim(self, run: Run) -> None:
        """The run says that it has started, or asks whether it may."""
        task = self.model.tasks[run.delivery.task_id]
        self.mail.append(
            RunClaimed(
                task_id=task.id,
                job_id=task.job_id,
                root_id=task.root_id,
                dispatch=run.delivery.dispatch,
                run_id=run.run_id,
                node_id=run.node_id,
                lease_id=run.lease_id,
                started_at=RUN_START,
                redelivered=run.waits_for_grant,
            )
        )

    def progress(self, run: Run, percent: float) -> None:
        """The run tells how far it is."""
        task = self.model.tasks[run.delivery.task_id]
        self.mail.append(
            RunProgressed(
                task_id=task.id,
                job_id=task.job_id,
                root_id=task.root_id,
                dispatch=run.delivery.dispatch,
                run_id=run.run_id,
                progress=percent,
            )
        )

    def end(self, run: Run, outcome: RunOutcome) -> None:
        """The run ends, and its worker reports that until somebody acknowledges it."""
        task = self.model.tasks[run.delivery.task_id]
        run.report = RunEnded(
            task_id=task.id,
            job_id=task.job_id,
            root_id=task.root_id,
            dispatch=run.delivery.dispatch,
            run_id=run.run_id,
            node_id=run.node_id,
            lease_id=run.lease_id,
            outcome=outcome,
            result=f"by {run.run_id}",
            started_at=RUN_START,
            ended_at=RUN_END,
        )
        self.mail.append(run.report)

    def working(self) -> list[Run]:
        """Runs that are at work."""
        return [run for run in self.runs.values() if run.report is None and not run.waits_for_grant]

    def kill(self, node_id: str) -> None:
        """A worker dies with all its runs: their messages are delivered again, and what it held is lost in time."""
        for run in [run for run in self.runs.values() if run.node_id == node_id]:
            del self.runs[run.run_id]
            self.queue.append(replace(run.delivery, redelivered=True))
        self.incarnations[node_id] += 1

    def restart(self, node_id: str) -> None:
        """A worker is restarted while its runs go on: it takes them up with a new lease."""
        self.incarnations[node_id] += 1
        for run in self.working():
            if run.node_id == node_id:
                run.lease_id = f"{node_id}.{self.incarnations[node_id]}"
                self.claim(run)

    def end_leases(self) -> None:
        """Tasks whose run has died are found by their lease."""
        for task in self.model.tasks.values():
            if task.state is TaskState.RUNNING and task.lease_id and not self._is_alive(task.lease_id):
                assert task.run_id is not None
                self.mail.append(
                    RunLost(
                        task_id=task.id,
                        job_id=task.job_id,
                        root_id=task.root_id,
                        dispatch=task.dispatch,
                        run_id=task.run_id,
                        lease_id=task.lease_id,
                    )
                )

    def _is_alive(self, lease_id: str) -> bool:
        node_id, _, incarnation = lease_id.partition(".")
        return str(self.incarnations[node_id]) == incarnation

    # Time

    def wake(self) -> None:
        """What waits for its time or its turn gets it; workers repeat themselves."""
        for task in self.model.retries_waiting():
            self.mail.append(RetryDue(task_id=task.id, job_id=task.job_id, root_id=task.root_id))
        self.mail += self.model.with_room()
        self.mail += self.model.unfolding
        self.model.unfolding.clear()
        for run in list(self.runs.values()):
            if run.report is not None:
                self.mail.append(run.report)
            elif run.waits_for_grant:
                self.claim(run)
        self.end_leases()

    def run_to_the_end(self) -> None:
        """From now on all goes well: every job must end."""
        for _ in range(MOST_ROUNDS):
            if not any(job.state.is_active for job in self.model.jobs.values()):
                break
            self.wake()
            self.send_again()
            while self.queue:
                self.deliver(0, "fair")
            for run in self.working():
                self.end(run, RunOutcome.COMPLETED)
            mail, self.mail = self.mail, []
            for first in range(0, len(mail), 40):
                self.handle(mail[first : first + 40])
        else:
            raise AssertionError(f"some job hangs: {self.model.jobs}")
        engine_promises.all_ended(self.model)
        self.wake()
        mail, self.mail = self.mail, []
        for event in mail:
            self.handle([event])
        assert not [run for run in self.runs.values() if run.report], "every report is acknowledged"
