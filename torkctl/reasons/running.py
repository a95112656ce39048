"""What a task does that has begun and not ended: it pulls its image, it runs, or its worker is silent."""

from __future__ import annotations

import re

from tork.node import Node, NodeStatus
from torkctl.client.documents import TaskReport
from torkctl.output.times import age
from torkctl.reasons.facts import Evidence, Facts
from torkctl.reasons.waiting import Explained, node_name
from torkctl.reasons.words import clock, lasting, log_of, named_task

_PERCENT = re.compile(r"\((\d+) %\)$")
_FIRST_WORDS = ("Pulling image ", "Waiting for image ")


def why_task_runs(facts: Facts, task: TaskReport) -> Explained:
    """Of a task that is RUNNING."""
    who = named_task(facts, task)
    if composite := task.each or task.parallel:
        size = composite.size or len(composite.tasks)
        return f"{who} is making its tasks: {composite.completions} of {size} are done", []
    if task.subjob and not task.node_id:
        return f"{who} stands for a job, which can't be seen", [Evidence(about="its job", says=task.subjob.id or "-")]
    node = next((one for one in facts.nodes or () if one.id == task.node_id), None)
    place = node_name(node) if node else task.node_id
    if silent := _silence(facts, node, task):
        because = f"{who} runs on worker {place}, which {silent}; another gets it when the lease is over"
        return because, [*_spent(facts, task), *log_of(facts)]
    if pull := image_pull(task, facts.log_tail[-1] if facts.log_tail else ""):
        return f"{who} waits for its image on worker {place}: {pull}", [*_spent(facts, task), *log_of(facts)]
    since = f" for {lasting(task.started_at, facts.now)}" if task.started_at else ""
    return f"{who} has run{since}" + (f" on worker {place}" if place else ""), [*_spent(facts, task), *log_of(facts)]


def image_pull(task: TaskReport, last_line: str) -> str:
    """How far the pull of the task's image is, when the last line of the log tells of one that goes on."""
    line = last_line.strip()
    if not task.image or task.image not in line:
        return ""
    if line.startswith(_FIRST_WORDS):
        return line[0].lower() + line[1:]
    if not line.startswith(f"{task.image}: ") or "layers" not in line:
        return ""
    percent = _PERCENT.search(line)
    return f"image pull at {percent[1]} %" if percent else f"image pull, {line.removeprefix(f'{task.image}: ')}"


def _silence(facts: Facts, node: Node | None, task: TaskReport) -> str:
    if facts.nodes is None or not task.node_id:
        return ""
    if node is None:
        return "was not heard of in the last minutes"
    if node.status is NodeStatus.OFFLINE:
        return f"was last heard of {age(node.last_heartbeat_at, facts.now)} ago"
    return ""


def _spent(facts: Facts, task: TaskReport) -> list[Evidence]:
    told = []
    if task.started_at:
        told.append(Evidence(about="started", says=clock(task.started_at, facts.now)))
    if task.progress:
        told.append(Evidence(about="progress", says=f"{task.progress:g} %"))
    if task.timeout:
        told.append(Evidence(about="timeout", says=task.timeout))
    if task.redelivered:
        told.append(Evidence(about="lost runs", says=f"{task.redelivered} before this one"))
    return told
