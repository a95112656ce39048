"""Lines in the log about runs that did not end by themselves: lost with their worker, or handed back by one that stops."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from tork.task import TaskState
from torkd.broker.messages import RunEnded, RunOutcome
from torkd.coordinator.handle import Handled
from torkd.engine.events import EngineEvent, RunLost

log = logging.getLogger(__name__)


def tell_of_runs(handled: Handled, events: Sequence[EngineEvent]) -> None:
    """Tell of those that these events, which are committed, have made an end of."""
    lost = {event.task_id for event in events if isinstance(event, RunLost)}
    back = {
        event.task_id for event in events if isinstance(event, RunEnded) and event.outcome is RunOutcome.HANDED_BACK
    }
    if not (lost or back):
        return
    silent: Counter[tuple[str, str]] = Counter()
    for before, task in handled.view.task_moves:
        if before.state is not TaskState.RUNNING or task.state is before.state:
            continue
        place = {"job_id": task.job_id, "task_id": task.id, "run_id": before.run_id, "node": before.node_id}
        if task.id in lost:
            silent[before.node_id or "", before.lease_id or ""] += 1
            again = "handed out again" if task.state is TaskState.SCHEDULED else "given up"
            log.warning("a run was lost with its worker: the task is %s", again, extra=place)
        elif task.id in back:
            log.info("a run was handed back by its worker: the task is handed out again", extra=place)
    for (node, lease), runs in silent.items():
        log.warning(
            "worker %s was not heard of for a lease, and has lost %d runs",
            node,
            runs,
            extra={"node": node, "lease": lease},
        )
