"""What every task must obey, at any depth: in a job, a sub-job, under parallel and under each."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tork.definition.findings import Findings
from tork.definition.problems import Path, shown
from tork.task import (
    MAX_PRIORITY,
    AuxTask,
    Each,
    Mount,
    OnFailure,
    Parallel,
    Probe,
    Retry,
    Sidecar,
    SubJob,
    TaskDefinition,
    WebhookDefinition,
)

MAX_NESTING = 50
"""Composite tasks inside composite tasks, at most."""

MAX_WORKDIR = 256
MAX_VAR = 64
MAX_RETRIES = 10
MAX_RETRY_DELAY = "5m"
MAX_SCALING_FACTOR = 10
MAX_CONCURRENCY = 99_999
MAX_PROBE_PATH = 256
MAX_PORT = 65_535
MAX_WEBHOOKS = 100
"""Of a job. Each is told of each of its changes, in the transaction of the change."""

NOT_IN_COMPOSITES = (
    "image",
    "cmd",
    "entrypoint",
    "run",
    "env",
    "queue",
    "pre",
    "post",
    "mounts",
    "retry",
    "limits",
    "timeout",
)
"""Keys of a task that mean nothing beside parallel, each or subjob."""

_EXCLUSIVE = {
    ("parallel", "each"): "paralleloreach",
    ("parallel", "subjob"): "parallelorsubjob",
    ("each", "subjob"): "eachorsubjob",
}
_HEADER_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_MOUNT_CHARACTERS = re.compile(r"[-A-Za-z0-9/._= ]*")
_RESERVED_TARGET = "/tork"
_A_NAME = "a text such as 'compile'"


def check_tasks(tasks: Sequence[TaskDefinition], path: Path, found: Findings, *, depth: int = 0) -> None:
    """A list of tasks that run one after another: at least one, each with a name."""
    found.required(tasks, path, "a list of at least one task")
    for index, task in enumerate(tasks):
        check_task(task, (*path, index), found, depth=depth)


def check_task(task: TaskDefinition, path: Path, found: Findings, *, depth: int, named: bool = True) -> None:
    """One task and everything in it. `depth` counts the composite tasks around it."""
    if named:
        found.required(task.name, (*path, "name"), _A_NAME)
    found.expression(task.if_, (*path, "if"))
    found.at_most(task.var, MAX_VAR, (*path, "var"))
    found.at_most(task.workdir, MAX_WORKDIR, (*path, "workdir"))
    found.queue(task.queue, (*path, "queue"))
    found.duration(task.timeout, (*path, "timeout"))
    found.within(task.priority, 0, MAX_PRIORITY, (*path, "priority"))
    if task.retry:
        check_retry(task.retry, (*path, "retry"), found)
    for key, steps in (("pre", task.pre), ("post", task.post), ("sidecars", task.sidecars)):
        for index, step in enumerate(steps):
            _check_step(step, (*path, key, index), found)
    for index, mount in enumerate(task.mounts):
        _check_mount(mount, (*path, "mounts", index), found)
    if task.parallel or task.each or task.subjob:
        _check_composite(task, path, found, depth + 1)


def check_retry(retry: Retry, path: Path, found: Findings) -> None:
    """The limit is required, the rest has its own maximum."""
    if retry.limit == 0:
        found.required(retry.limit, (*path, "limit"), f"1 to {MAX_RETRIES}")
    else:
        found.within(retry.limit, 1, MAX_RETRIES, (*path, "limit"))
    found.duration(retry.initial_delay, (*path, "initialDelay"), longest=MAX_RETRY_DELAY)
    found.within(retry.scaling_factor, 0, MAX_SCALING_FACTOR, (*path, "scalingFactor"))


def check_webhooks(
    webhooks: Sequence[WebhookDefinition], path: Path, found: Findings, *, templated: bool = False
) -> None:
    """There must not be too many, and each must be right."""
    if len(webhooks) > MAX_WEBHOOKS:
        found.add(path, f"has {len(webhooks)} webhooks (right would be at most {MAX_WEBHOOKS})", "max")
        return
    for index, webhook in enumerate(webhooks):
        _check_webhook(webhook, (*path, index), found, templated=templated)


def _check_webhook(webhook: WebhookDefinition, path: Path, found: Findings, *, templated: bool = False) -> None:
    """The address must be one, and the condition compile. `templated`: the address may come out of a template."""
    if not (templated and "{{" in webhook.url):
        found.url(webhook.url, (*path, "url"))
    found.expression(webhook.if_, (*path, "if"))
    for name, value in webhook.headers.items():
        _check_header(name, value, (*path, "headers", name), found)


def _check_header(name: str, value: str, path: Path, found: Findings) -> None:
    if not _HEADER_NAME.fullmatch(name):
        message = "is no name of a header (right would be letters, digits and hyphens, such as 'X-Team')"
        found.add(path, message, "header")
    elif not value.isprintable():
        found.add(path, "holds a line break or another control character (right would be one line of text)", "header")


def _check_step(step: AuxTask, path: Path, found: Findings) -> None:
    found.required(step.name, (*path, "name"), _A_NAME)
    found.duration(step.timeout, (*path, "timeout"))
    if isinstance(step, Sidecar) and step.probe:
        _check_probe(step.probe, (*path, "probe"), found)


def _check_probe(probe: Probe, path: Path, found: Findings) -> None:
    found.required(probe.path, (*path, "path"), "a path such as '/health'")
    found.at_most(probe.path, MAX_PROBE_PATH, (*path, "path"))
    if probe.port == 0:
        found.required(probe.port, (*path, "port"), f"1 to {MAX_PORT}")
    else:
        found.within(probe.port, 1, MAX_PORT, (*path, "port"))
    found.duration(probe.timeout, (*path, "timeout"))


def _check_mount(mount: Mount, path: Path, found: Findings) -> None:
    """The first broken rule only: the later ones make sense when the earlier hold."""
    source, target = (*path, "source"), (*path, "target")
    if not mount.type:
        found.add((*path, "type"), "is missing (right would be volume, bind or tmpfs)", "typerequired")
    elif mount.type == "volume" and mount.source:
        message = f"{shown(mount.source)} has no meaning for a volume (right would be no source, or type: bind)"
        found.add(source, message, "sourcenotempty")
    elif mount.type == "volume" and not mount.target:
        found.add(target, "is missing (right would be a path in the container)", "targetrequired")
    elif mount.type == "bind" and not mount.source:
        found.add(source, "is missing (right would be a path of the host)", "sourcerequired")
    elif not _MOUNT_CHARACTERS.fullmatch(mount.source):
        found.add(source, _about_characters(mount.source), "invalidsource")
    elif not _MOUNT_CHARACTERS.fullmatch(mount.target):
        found.add(target, _about_characters(mount.target), "invalidtarget")
    elif mount.target == _RESERVED_TARGET:
        message = "'/tork' is where the task's own files are (right would be another path, such as '/data')"
        found.add(target, message, "invalidtarget")


def _about_characters(text: str) -> str:
    return f"{shown(text)} holds other characters than a path may (right would be letters, digits, space and - / . _ =)"


def _check_composite(task: TaskDefinition, path: Path, found: Findings, depth: int) -> None:
    if depth > MAX_NESTING:
        message = (
            f"is inside {MAX_NESTING} other parallel, each and subjob tasks (right would be at most {MAX_NESTING})"
        )
        found.add(path, message, "nesting")
        return
    parts = {"parallel": task.parallel, "each": task.each, "subjob": task.subjob}
    given = [key for key, part in parts.items() if part is not None]
    for (first, second), rule in _EXCLUSIVE.items():
        if first in given and second in given:
            found.together(path, first, second, rule)
    for key in NOT_IN_COMPOSITES:
        if getattr(task, key):
            message = f"can't stand beside {given[0]} (right would be in a task under {given[0]})"
            found.add((*path, key), message, "invalidcompositetask")
    if task.parallel:
        _check_parallel(task.parallel, (*path, "parallel"), found, depth)
    if task.each:
        _check_each(task.each, (*path, "each"), found, depth)
    if task.subjob:
        _check_subjob(task.subjob, (*path, "subjob"), found, depth)


def _check_parallel(parallel: Parallel, path: Path, found: Findings, depth: int) -> None:
    found.required(parallel.tasks, (*path, "tasks"), "a list of at least one task")
    for index, task in enumerate(parallel.tasks):
        check_task(task, (*path, "tasks", index), found, depth=depth, named=False)
    found.one_of(parallel.on_failure, OnFailure, (*path, "onFailure"))


def _check_each(each: Each, path: Path, found: Findings, depth: int) -> None:
    found.required(each.list, (*path, "list"), "an expression such as '{{ sequence(1,5) }}'")
    found.expression(each.list, (*path, "list"))
    found.within(each.concurrency, 0, MAX_CONCURRENCY, (*path, "concurrency"))
    found.one_of(each.on_failure, OnFailure, (*path, "onFailure"))
    found.required(each.task is not None, (*path, "task"), "the task to run for every element")
    if each.task is not None:
        check_task(each.task, (*path, "task"), found, depth=depth, named=False)


def _check_subjob(subjob: SubJob, path: Path, found: Findings, depth: int) -> None:
    found.required(subjob.name, (*path, "name"), "a text such as 'nightly build'")
    check_tasks(subjob.tasks, (*path, "tasks"), found, depth=depth)
    check_webhooks(subjob.webhooks, (*path, "webhooks"), found, templated=True)
    if subjob.auto_delete:
        found.duration(subjob.auto_delete.after, (*path, "autoDelete", "after"))
