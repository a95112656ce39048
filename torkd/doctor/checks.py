"""The invariants, one function each, over what was seen. No input, no output.

A look at a running engine sees things on their way. So what is wrong for a moment only is told by nobody: a check that fails has
failed in two looks, of the same things (`confirmed`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tork.diagnosis import Check, Diagnosis
from tork.node import Queue
from tork.task import is_task_queue
from torkd.broker.queues import COMPLETED, DEAD, ERROR, STARTED
from torkd.datastore.protocol import Examined, HandedOut

JOBS, TASKS, LEASES, RETRIES = "jobs", "tasks", "leases", "retries"
OUTBOX, HAND_OUTS, DEAD_LETTERS, CONSUMERS, COORDINATORS, NODES, ENCRYPTION = (
    "outbox", "hand-outs", "dead letters", "consumers", "coordinators", "nodes", "encryption"
)  # fmt: skip
_REPORTS = frozenset({STARTED, COMPLETED, ERROR})


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What was seen in one look. `queues` is None where there is no broker to ask."""

    examined: Examined
    queues: Sequence[Queue] | None
    late_seconds: float
    lease_seconds: float


def diagnose(facts: Facts) -> Diagnosis:
    """Every check, whether it holds or not."""
    checks = [
        _coordinators(facts),
        _nodes(facts.examined),
        _jobs(facts.examined),
        _tasks(facts.examined),
        _leases(facts.examined),
        _retries(facts.examined),
        _outbox(facts.examined),
    ]
    if facts.examined.older_keys:
        checks.append(_encryption(facts.examined))
    if facts.queues is not None:
        checks += [
            _hand_outs(facts.examined, facts.queues),
            _consumers(facts.examined, facts.queues),
            _dead_letters(facts.queues),
        ]
    return diagnosis_of(checks)


def diagnosis_of(checks: Iterable[Check]) -> Diagnosis:
    """The checks with what they come to."""
    every = list(checks)
    return Diagnosis(ok=all(check.ok for check in every), checks=every)


def confirmed(first: Diagnosis, second: Diagnosis) -> Diagnosis:
    """What both looks have found wrong, as the second tells it. What they found of different things was on its way."""
    before = {check.name: check for check in first.checks}
    checks = []
    for check in second.checks:
        earlier = before[check.name]
        if check.ok or (not earlier.ok and (set(check.ids) & set(earlier.ids) or not check.ids)):
            checks.append(check)
        else:
            checks.append(Check(name=check.name, ok=True, message="what was wrong at first is not any more"))
    return diagnosis_of(checks)


def lost_hand_outs(examined: Examined, queues: Sequence[Queue]) -> list[HandedOut]:
    """Hand-outs that are neither in the outbox, nor at the broker, nor in a report that waits there.

    A queue that the broker does not tell of proves nothing: it may only not know of it.
    """
    if any(queue.name in _REPORTS and (queue.size or queue.unacked) for queue in queues):
        return []
    empty = {queue.name for queue in queues if not queue.size and not queue.unacked}
    return [waiting for waiting in examined.waiting if waiting.queue in empty]


def _coordinators(facts: Facts) -> Check:
    until, now = facts.examined.heartbeats_until, facts.examined.now
    silent = until is None or now - until > timedelta(seconds=facts.lease_seconds + facts.late_seconds)
    if not facts.examined.is_busy or not silent:
        return _good(COORDINATORS, "one is at work" if facts.examined.is_busy else "no job is active")
    since = f"since {until:%Y-%m-%d %H:%M:%S} UTC" if until else "yet"
    return Check(
        name=COORDINATORS,
        ok=False,
        message=f"jobs are active, but no coordinator has been at work {since}",
        advice="start one: torkd run coordinator",
    )


def _nodes(examined: Examined) -> Check:
    down = examined.down_nodes
    if not down:
        return _good(NODES, "none that is alive says DOWN")
    shown = ", ".join(f"{node.name} ({node.hostname}:{node.port})" for node in down[:_SHOWN])
    return Check(
        name=NODES,
        ok=False,
        message=f"DOWN, so that no task can run there: {shown}{_more(len(down))}",
        ids=[node.id for node in down],
        advice="look at GET /health and at the log of that node, which says why",
    )


def _jobs(examined: Examined) -> Check:
    return _listed(
        JOBS,
        [stalled.job_id for stalled in examined.stalled_jobs],
        good="every active job has a task that can end",
        wrong="active, without any task that could end",
        advice="torkd doctor --fix, or cancel and restart them",
        repair="let them go on from their newest task, or end as it ended",
    )


def _tasks(examined: Examined) -> Check:
    return _listed(
        TASKS,
        [stalled.task_id for stalled in examined.stalled_tasks],
        good="every task that is made of others has one left",
        wrong="running, though none of their children or sub-jobs is left",
        advice="torkd doctor --fix, or cancel and restart their jobs",
        repair="end them as their children or sub-jobs have ended",
    )


def _leases(examined: Examined) -> Check:
    silent = examined.silent_runs
    nodes = ", ".join(sorted({run.node_id for run in silent if run.node_id})[:_SHOWN])
    can_repair = any(run.may_be_given_up for run in silent)
    return _listed(
        LEASES,
        [run.lost.task_id for run in silent],
        good="every worker that runs a task was heard of",
        wrong=f"running on {nodes or 'nodes'} that were not heard of for longer than a lease",
        advice="torkd doctor --fix"
        if can_repair
        else "start a coordinator: it gives a worker one more lease to be heard",
        repair="hand them out again, at most five times each" if can_repair else "",
    )


def _retries(examined: Examined) -> Check:
    return _listed(
        RETRIES,
        [due.task_id for due in examined.late_retries],
        good="none is overdue",
        wrong="overdue to be tried again",
        advice="start a coordinator, or torkd doctor --fix",
        repair="hand them out",
    )


def _outbox(examined: Examined) -> Check:
    return _listed(
        OUTBOX,
        [old.task_id for old in examined.old_outbox],
        good="no hand-out waits there",
        wrong="not handed out yet, though it is their turn",
        advice="start a coordinator, look whether it reaches the broker, or torkd doctor --fix",
        repair="hand them out",
    )


def _encryption(examined: Examined) -> Check:
    """No fault: a key may be on its way in. It says when older ones can go."""
    if examined.is_rekeyed:
        return _good(ENCRYPTION, "nothing that is stored or waits needs an older key: they can go")
    return _good(ENCRYPTION, "what is stored or waits may need an older key: torkd rekey seals it with that of now")


def _hand_outs(examined: Examined, queues: Sequence[Queue]) -> Check:
    lost = lost_hand_outs(examined, queues)
    return _listed(
        HAND_OUTS,
        [task_id for waiting in lost for task_id in waiting.task_ids],
        good="the broker has every task that waits",
        wrong=f"handed out to {', '.join(waiting.queue for waiting in lost)}, and the broker does not have them",
        advice="torkd doctor --fix",
        repair="hand them out again; a run that has begun after all keeps its task",
    )


def _consumers(examined: Examined, queues: Sequence[Queue]) -> Check:
    """Messages of tasks that have ended meanwhile, by a cancel for instance, stay in a queue until somebody reads it: no fault."""
    unread = [
        queue
        for queue in queues
        if is_task_queue(queue.name)
        and queue.size
        and not queue.subscribers
        and not queue.unacked
        and queue.name in examined.queues
        and queue.name not in examined.served_queues
    ]
    names = [queue.name for queue in unread]
    if not unread:
        return _good(CONSUMERS, "every queue with tasks is read by a worker")
    waiting = ", ".join(f"{queue.name} ({queue.size} waiting)" for queue in unread[:_SHOWN])
    return Check(
        name=CONSUMERS,
        ok=False,
        message=f"no worker reads {waiting}{_more(len(unread))}",
        ids=names,
        advice=f"start a worker with worker.queues = {{ {names[0]} = 1 }}",
    )


def _dead_letters(queues: Sequence[Queue]) -> Check:
    count = sum(queue.size for queue in queues if queue.name == DEAD)
    if not count:
        return _good(DEAD_LETTERS, "there are none")
    return Check(
        name=DEAD_LETTERS,
        ok=False,
        message=f"{count} could not be handled" if count > 1 else "one message could not be handled",
        advice="GET /queues/dead tells why; POST /queues/dead/{id}/replay or DELETE /queues/dead/{id}",
    )


_SHOWN = 5
"""How many names a line has."""


def _listed(name: str, ids: list[str], *, good: str, wrong: str, advice: str, repair: str) -> Check:
    if not ids:
        return _good(name, good)
    shown = ", ".join(ids[:_SHOWN])
    message = f"{len(ids)} {wrong}: {shown}{_more(len(ids))}"
    return Check(name=name, ok=False, message=message, ids=ids, advice=advice, repair=repair)


def _more(count: int) -> str:
    return f" and {count - _SHOWN} more" if count > _SHOWN else ""


def _good(name: str, message: str) -> Check:
    return Check(name=name, ok=True, message=message)
