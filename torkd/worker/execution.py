"""What a slot does with one delivery: claim, run, report, acknowledge. With a run that a predecessor began: go on, report.

Invariants: a redelivered task starts only when it is granted; a report or the news of a hand-back is sent only when nothing
of the run is alive any more; the message is acknowledged after the report, or early when the run takes long; whatever goes
wrong inside a run becomes its report and never hurts the slot.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace

from tork.errors import BrokerUnavailable, RunLeft, RuntimeFailure, TaskStopped
from tork.task import TaskDefinition
from torkd.broker.messages import LogPrinted, RunClaimed, RunEnded, RunOutcome
from torkd.broker.protocol import Broker, TaskDelivery
from torkd.hooks.host_env import HostVariable, with_host_variables
from torkd.middleware import RunHooks
from torkd.runtime.protocol import Runtime, TaskRun
from torkd.runtime.stopping import StopReason
from torkd.runtime.time_limit import timeout_seconds
from torkd.tracing.protocol import Tracing
from torkd.worker.claims import Claims
from torkd.worker.deadlines import Deadlines
from torkd.worker.flushing import LogFlusher
from torkd.worker.kept import KeptRun, KeptRuns
from torkd.worker.limits import with_default_limits
from torkd.worker.logs import RunLog
from torkd.worker.options import WorkerOptions
from torkd.worker.progress import ProgressReport
from torkd.worker.replay import replay_log
from torkd.worker.report import Reporter
from torkd.worker.run_hooks import after_run, before_run
from torkd.worker.running import Run, Runs
from torkd.worker.traceparent import with_traceparent

_SHUTDOWN = (StopReason.DRAINED, StopReason.LEFT)

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Ending:
    outcome: RunOutcome | None
    """None when nobody waits for a report."""
    result: str = ""
    error: str = ""


_LEFT = _Ending(None)
"""It has not ended: a successor takes it up."""


@dataclass(frozen=True, kw_only=True)
class Executor:
    """Everything an execution needs; shared by all slots."""

    broker: Broker
    runtime: Runtime
    options: WorkerOptions
    lease_id: str
    runs: Runs
    kept: KeptRuns
    reporter: Reporter
    claims: Claims
    deadlines: Deadlines
    flusher: LogFlusher
    host_variables: tuple[HostVariable, ...]
    environ: Mapping[str, str]
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    hooks: RunHooks = field(default_factory=RunHooks)
    """What the operator registered."""
    tracing: Tracing | None = None
    """Who takes traces, if anybody does."""

    def execute(self, delivery: TaskDelivery) -> None:
        """See the task through to its end, whatever that is."""
        run = Run(delivery.message, self.new_id(), self.now())
        early_ack = self.deadlines.add(self.options.early_ack_seconds, lambda: _acknowledge(delivery))
        if delivery.redelivered:
            run.expect_answer()
        self.runs.add(run)
        try:
            log = self._open_log(run)
            ending = self._run(run, log) if self._may_start(run, delivery) else _unstarted(run)
            is_reported = self._end(run, log, ending)
        finally:
            self.deadlines.cancel(early_ack)
            self.runs.remove(run)
        if is_reported:
            _acknowledge(delivery)

    def resume(self, run: Run) -> None:
        """See a run of a predecessor through to its end; one that has ended is only reported."""
        kept = run.kept
        assert kept is not None
        log = self._open_log(run)
        try:
            replay_log(log, kept, self.broker, run.stop)
            if kept.outcome is not None:
                self._tell(run, log, kept.outcome)
            elif run.stop.reason is StopReason.LEFT:
                self._end(run, log, _LEFT)
            else:
                self._end(run, log, self._run(run, log))
        finally:
            self.runs.remove(run)

    def _may_start(self, run: Run, delivery: TaskDelivery) -> bool:
        """Claim the task; a redelivered one waits until it is granted. Asks again, for an answer may be lost."""
        claim = run.claim(self.options.node_id, self.lease_id, redelivered=delivery.redelivered)
        if not delivery.redelivered:
            self.claims.add(claim)
            return True
        while not run.granted and not run.stop.is_set():
            self._ask(claim)
            run.wait_for_answer(self.options.ask_again_seconds)
        return not run.stop.is_set()

    def _ask(self, claim: RunClaimed) -> None:
        try:
            self.broker.publish_events([claim])
        except BrokerUnavailable:
            _LOG.warning("a claim could not be sent", extra={"run_id": claim.run_id})

    def _run(self, run: Run, log: RunLog) -> _Ending:
        run.has_started = True
        try:
            return self._call_runtime(run, log)
        except RuntimeFailure as error:
            return _failed(run, log, error)
        except BaseException as error:  # noqa: BLE001 -- a runtime may be anybody's; the slot must survive it
            _LOG.exception("the runtime failed", extra={"run_id": run.run_id, "task_id": run.message.task_id})
            what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            return _failed(run, log, RuntimeFailure(f"the runtime failed unexpectedly: {what}"))

    def _call_runtime(self, run: Run, log: RunLog) -> _Ending:
        message = run.message
        if not message.task_id:
            raise RuntimeFailure("task id is required")
        definition = with_default_limits(message.definition, self.options)
        definition = with_host_variables(definition, self.host_variables, self.environ)
        if self.tracing is not None:
            definition = with_traceparent(definition, message, self.tracing)
        if self.hooks.before_run and not run.resumed:
            definition = before_run(self.hooks, definition, run, self.options.node_id)
        seconds = timeout_seconds(definition.timeout)
        timer = None
        if seconds is not None:
            text = f"task timed out after {definition.timeout}"
            if run.resumed:
                seconds = max(seconds - max((self.now() - run.started_at).total_seconds(), 0.0), 0.0)
            timer = self.deadlines.add(seconds, lambda: run.stop.set(StopReason.TIMED_OUT, text))
        try:
            return _completed(self.runtime.run(self._task_run(run, log, definition)))
        finally:
            if timer is not None:
                self.deadlines.cancel(timer)

    def _task_run(self, run: Run, log: RunLog, definition: TaskDefinition) -> TaskRun:
        message = run.message
        return TaskRun(
            task_id=message.task_id,
            run_id=run.run_id,
            node_id=self.options.node_id,
            definition=definition,
            log=log,
            report_progress=ProgressReport(self.broker, message, run.run_id, lambda: self.claims.hurry(run.run_id)),
            stop=run.stop,
            keep=lambda: self._keep(run, log, definition),
            settle=lambda outcome: self._settle(run, log, outcome),
            resumed=run.resumed,
            labels={
                "torkd.node": self.options.node_id,
                "torkd.job": message.job_id,
                "torkd.task": message.task_id,
                "torkd.run": run.run_id,
                "torkd.attempt": str(message.dispatch),
            },
        )

    def _keep(self, run: Run, log: RunLog, definition: TaskDefinition) -> Path:
        kept = run.kept
        if kept is None:
            # A successor goes on with what middleware has made of the task, without asking it again.
            message = replace(run.message, definition=definition) if self.hooks.before_run else run.message
            kept = self.kept.keep(run.run_id, run.started_at, message)
            if not run.keep(kept):
                self._forget(kept)
                run.stop.wait()  # the shutdown is about to set it
                raise run.stop.error()
            if kept.is_lasting:
                try:
                    log.keep(kept.open_log(), kept.give_up)
                except OSError as error:
                    kept.give_up()
                    raise RuntimeFailure(f"the log of the run can't be kept: {error.strerror}") from error
        return kept.path

    def _settle(self, run: Run, log: RunLog, outcome: str | RuntimeFailure) -> None:
        """The runtime says how the run ended, before it removes what is left of it."""
        kept = run.kept
        if kept is None or not kept.is_lasting:
            return
        ending = _completed(outcome) if isinstance(outcome, str) else _failed(run, log, outcome)
        if ending.outcome is not None:
            log.seal()
            kept.settle(self._report_of(run, log, ending))

    def _end(self, run: Run, log: RunLog, ending: _Ending) -> bool:
        """Whether all is told that has to be. If not, the message stays in hand and will come again."""
        run.has_ended = True
        if self.hooks.after_run and run.has_started and ending is not _LEFT:
            self._tell_middleware(run, ending.outcome, ending.result, ending.error)
        if ending is _LEFT:
            self.claims.hurry(run.run_id)
            self._publish_rest(log.leave())
            return False
        self.claims.drop(run.run_id)
        parts = log.finish()
        if run.stop.reason is StopReason.CANCELLED or ending.outcome is None:
            self._publish_rest(parts)
            self._forget(run.kept)
            return True
        report = self._report_of(run, log, ending)
        if run.kept is None:
            return self.reporter.send(parts, report)
        run.kept.settle(report)
        is_sent = self.reporter.send(parts, report)
        self._clear(run.kept)
        return is_sent

    def _tell_middleware(self, run: Run, outcome: RunOutcome | None, result: str, error: str) -> None:
        after_run(self.hooks, run, self.options.node_id, outcome, result=result, error=error)

    def _clear(self, kept: KeptRun) -> None:
        """What a report needs stays until the report is acknowledged."""
        if kept.is_lasting:
            kept.clear()
        else:
            self._forget(kept)

    def _forget(self, kept: KeptRun | None) -> None:
        if kept is not None:
            self.kept.forget(kept.record.run_id)
            kept.remove()

    def _tell(self, run: Run, log: RunLog, outcome: RunEnded) -> None:
        """Report how a run ended that a predecessor saw end."""
        if self.hooks.after_run:
            self._tell_middleware(run, outcome.outcome, outcome.result, outcome.error)
        parts = log.finish()
        if run.stop.reason is StopReason.CANCELLED:
            self._forget(run.kept)
            return
        self.reporter.send(
            parts, replace(outcome, node_id=self.options.node_id, lease_id=self.lease_id, log_parts=log.part_count)
        )
        if run.kept is not None:
            self._clear(run.kept)

    def _report_of(self, run: Run, log: RunLog, ending: _Ending) -> RunEnded:
        assert ending.outcome is not None
        message = run.message
        return RunEnded(
            task_id=message.task_id,
            job_id=message.job_id,
            root_id=message.root_id,
            dispatch=message.dispatch,
            run_id=run.run_id,
            node_id=self.options.node_id,
            lease_id=self.lease_id,
            outcome=ending.outcome,
            result=ending.result,
            error=ending.error,
            started_at=run.started_at,
            ended_at=self.now(),
            log_parts=log.part_count,
        )

    def _publish_rest(self, parts: list[LogPrinted]) -> None:
        try:
            if parts:
                self.broker.publish_events(parts)
        except BrokerUnavailable:
            _LOG.warning("the end of a log could not be sent")

    def _open_log(self, run: Run) -> RunLog:
        return RunLog(
            run.message,
            run.run_id,
            publish=self.broker.publish_events,
            flusher=self.flusher,
            stop=run.stop,
            now=self.now,
            max_bytes=self.options.logs_max_bytes,
            printed=self.hooks.printed,
        )


def _unstarted(run: Run) -> _Ending:
    """It was refused, cancelled, or the worker shuts down: then a claim may be stored, so it is handed back."""
    return _Ending(RunOutcome.HANDED_BACK if run.stop.reason in _SHUTDOWN else None)


def _completed(result: str) -> _Ending:
    return _Ending(RunOutcome.COMPLETED, result=_storable(result))


def _failed(run: Run, log: RunLog, error: RuntimeFailure) -> _Ending:
    text = _storable(log.hide(str(error)))
    if isinstance(error, RunLeft) and run.stop.reason is StopReason.LEFT:
        return _LEFT
    if isinstance(error, TaskStopped) and run.stop.reason in _SHUTDOWN:
        return _Ending(RunOutcome.HANDED_BACK, error=text)
    return _Ending(RunOutcome.FAILED, error=text)


def _storable(text: str) -> str:
    """Without what neither JSON nor the database takes, whatever runtime it comes from."""
    return text.replace("\0", "") if text.isascii() else text.encode("utf-8", "replace").decode().replace("\0", "")


def _acknowledge(delivery: TaskDelivery) -> None:
    try:
        delivery.ack()
    except BrokerUnavailable:
        _LOG.warning("a message could not be acknowledged: it will come again, and the claim will refuse it")
