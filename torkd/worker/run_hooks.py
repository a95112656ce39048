"""Calls task middleware around a run."""

from __future__ import annotations

from tork.errors import Refused, RuntimeFailure
from tork.task import TaskDefinition
from torkd.broker.messages import RunOutcome
from torkd.middleware import EndedRun, RunEnding, RunHooks, StartedRun
from torkd.runtime.stopping import StopReason
from torkd.worker.running import Run

_ENDINGS = {
    RunOutcome.COMPLETED: RunEnding.COMPLETED,
    RunOutcome.FAILED: RunEnding.FAILED,
    RunOutcome.HANDED_BACK: RunEnding.HANDED_BACK,
}


def before_run(hooks: RunHooks, definition: TaskDefinition, run: Run, node_id: str) -> TaskDefinition:
    """What the runtime is to execute. Raises `RuntimeFailure` when one of them refuses, or fails."""
    try:
        return hooks.before_run.change(definition, _started(run, node_id), may_refuse=True, must_work=True)
    except Refused as refused:
        raise RuntimeFailure(str(refused)) from refused


def after_run(
    hooks: RunHooks, run: Run, node_id: str, outcome: RunOutcome | None, *, result: str = "", error: str = ""
) -> None:
    """Nothing of the run is left. Without an outcome nobody waits for a report."""
    ending = RunEnding.CANCELLED
    if outcome is not None and run.stop.reason is not StopReason.CANCELLED:
        ending = _ENDINGS[outcome]
    hooks.after_run.tell(_started(run, node_id), EndedRun(ending=ending, result=result, error=error))


def _started(run: Run, node_id: str) -> StartedRun:
    message = run.message
    return StartedRun(
        run_id=run.run_id,
        task_id=message.task_id,
        job_id=message.job_id,
        node_id=node_id,
        queue=message.queue,
        dispatch=message.dispatch,
        started_at=run.started_at,
    )
