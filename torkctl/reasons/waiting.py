"""Why a task has not begun: its queue, its retry, the window of its each, or a broker that is away."""

from __future__ import annotations

from collections.abc import Sequence

from tork.job import JobState
from tork.node import Node, NodeStatus, Queue
from tork.task import DEFAULT_QUEUE, PRIVATE_QUEUE_PREFIX, TaskState
from torkctl.attempts import retry_at, runs_of
from torkctl.client.documents import TaskReport
from torkctl.error_line import error_line
from torkctl.output.times import age, seconds_text
from torkctl.reasons.decisive import served
from torkctl.reasons.facts import Evidence, Facts
from torkctl.reasons.words import LONGEST_ERROR, clock, it, named_task

BROKER = "broker"
_MOST_NAMED = 10

Explained = tuple[str, list[Evidence]]


def why_job_waits(facts: Facts) -> Explained:
    """Of a job that is to go on and has no task under way."""
    job = facts.job
    if job.state is JobState.PENDING:
        because = f"no coordinator has begun {it(facts)}"
    else:
        because = f"{it(facts)} is between two tasks: number {job.position} of {job.task_count} is being made"
    if trouble := trouble_with_broker(facts):
        return f"{because}, and the broker can't be reached: {trouble}", []
    return because, [*indicators(facts), *_coordinators(facts)]


def why_task_waits(facts: Facts, task: TaskReport) -> Explained:
    """Of a task that is CREATED, PENDING or SCHEDULED."""
    match task.state:
        case TaskState.CREATED:
            return _in_its_window(facts, task)
        case TaskState.PENDING:
            return _before_its_queue(facts, task)
        case _:
            because, evidence = _in_its_queue(facts, task)
            return because, [*evidence, *indicators(facts), *_hand_outs(task)]


def trouble_with_broker(facts: Facts) -> str:
    """What is wrong with the broker, as far as the server tells."""
    indicator = facts.health.indicators.get(BROKER) if facts.health else None
    if indicator is None or indicator.status == "UP":
        return ""
    return error_line(indicator.error, LONGEST_ERROR) or "it is DOWN"


def indicators(facts: Facts) -> list[Evidence]:
    """What the server stands on and does not work."""
    if facts.health is None or facts.health.is_up:
        return []
    down = [
        Evidence(about=name, says=f"{part.status} {part.error}".strip())
        for name, part in facts.health.indicators.items()
        if part.status != "UP"
    ]
    return down or [Evidence(about="server", says=facts.health.status)]


def _in_its_window(facts: Facts, task: TaskReport) -> Explained:
    who = named_task(facts, task)
    parent = next((other for other in facts.job.execution if other.id == task.parent_id), None)
    composite = (parent.each or parent.parallel) if parent else None
    if parent is None or composite is None:
        return f"{who} was made and is not handed out yet", []
    siblings = [other for other in facts.job.execution if other.parent_id == parent.id]
    busy = sum(1 for other in siblings if other.state in _UNDER_WAY)
    done = Evidence(about=named_task(facts, parent), says=f"{composite.completions} of {composite.size} done")
    window = composite.concurrency
    if window and busy >= window:
        because = f"the concurrency window of {named_task(facts, parent)} is full ({busy} of {window} are under way)"
        return f"{because}, and {who} waits for its turn", [done]
    return f"{who} waits for its turn in {named_task(facts, parent)}, of which {busy} are under way", [done]


_UNDER_WAY = {TaskState.PENDING, TaskState.SCHEDULED, TaskState.RUNNING}


def _before_its_queue(facts: Facts, task: TaskReport) -> Explained:
    who = named_task(facts, task)
    due_at = retry_at(task)
    if task.retry is not None and due_at is not None and due_at > facts.now:
        left = seconds_text((due_at - facts.now).total_seconds())
        which = f"retry {task.retry.attempts} of {task.retry.limit}"
        return f"{who} waits for {which} at {clock(due_at, facts.now)} (in {left})", _last_failure(facts, task)
    if trouble := trouble_with_broker(facts):
        return f"{who} is not in its queue yet, and the broker can't be reached: {trouble}", []
    return f"{who} is due, and a coordinator is about to hand it out", [*indicators(facts), *_coordinators(facts)]


def _last_failure(facts: Facts, task: TaskReport) -> list[Evidence]:
    earlier = [run for run in runs_of(task, facts.job.execution) if run.state is TaskState.FAILED]
    return [Evidence(about="the run before", says=error_line(run.error, LONGEST_ERROR)) for run in earlier[-1:]]


def _in_its_queue(facts: Facts, task: TaskReport) -> Explained:
    name = task.queue or DEFAULT_QUEUE
    who = named_task(facts, task)
    if trouble := trouble_with_broker(facts):
        return f"{who} waits for queue '{name}', and the broker can't be reached: {trouble}", []
    if facts.queues is None:
        return f"{who} waits in queue '{name}' for a worker", _workers(facts)
    queue = next((one for one in facts.queues if one.name == name), None)
    if queue is None or not queue.subscribers:
        names = ", ".join(served(facts.queues)) or "none"
        evidence = [*_told(queue), Evidence(about="queues with workers", says=names), *_workers(facts)]
        return f"no worker takes tasks from queue '{name}', where {who} waits", evidence
    if queue.size:
        others = f"{queue.size} wait there" if queue.size > 1 else "it is next"
        busy = "the only slot" if queue.subscribers == 1 else f"all {queue.subscribers} slots"
        because = f"{busy} for queue '{name}' {'is' if queue.subscribers == 1 else 'are'} busy"
        return f"{because}: {who} waits for one ({others})", [*_told(queue), *_workers(facts)]
    return f"a worker is about to begin {who}, from queue '{name}'", [*_told(queue), *_workers(facts)]


def _told(queue: Queue | None) -> list[Evidence]:
    if queue is None:
        return []
    slots = "1 slot" if queue.subscribers == 1 else f"{queue.subscribers} slots"
    says = f"{queue.size} waiting, {slots} of workers, {queue.unacked} taken and not confirmed"
    return [Evidence(about=f"queue {queue.name}", says=says)]


def _workers(facts: Facts) -> list[Evidence]:
    if facts.nodes is None:
        return []
    workers = [node for node in facts.nodes if node.queue.startswith(PRIVATE_QUEUE_PREFIX)]
    if not workers:
        return [Evidence(about="workers", says="none was heard of in the last minutes")]
    told = [f"{node_name(node)} {_status(node.status)}, {node.task_count} running" for node in workers[:_MOST_NAMED]]
    return [Evidence(about="workers", says="; ".join(_and_more(told, len(workers))))]


def _coordinators(facts: Facts) -> list[Evidence]:
    if facts.nodes is None:
        return []
    told = [
        f"{node_name(node)} {_status(node.status)}, heard of {age(node.last_heartbeat_at, facts.now)} ago"
        for node in facts.nodes
        if not node.queue
    ]
    says = "; ".join(_and_more(told[:_MOST_NAMED], len(told))) or "none was heard of in the last minutes"
    return [Evidence(about="coordinators", says=says)]


def node_name(node: Node) -> str:
    """By its own name, of which there may be many, and its host's."""
    return " on ".join(dict.fromkeys(part for part in (node.name or node.id, node.hostname) if part))


def _status(status: NodeStatus | None) -> str:
    return status.value if status else "of unknown status"


def _and_more(told: Sequence[str], count: int) -> list[str]:
    return [*told, f"and {count - len(told)} more"] if count > len(told) else [*told]


def _hand_outs(task: TaskReport) -> list[Evidence]:
    if not task.redelivered:
        return []
    return [Evidence(about="lost runs", says=f"{task.redelivered}: its worker was silent, and it was handed out again")]
