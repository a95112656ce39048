"""Secrets that a job's definition gives to its sub-jobs in so many words: what comes back from those may hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tork.task import TaskDefinition


def nested_secrets(tasks: Iterable[TaskDefinition]) -> Iterator[str]:
    """The values, from any depth. One with a template comes from values that are known as secrets or are none."""
    for task in tasks:
        if task.subjob is not None:
            yield from (value for value in task.subjob.secrets.values() if "{{" not in value)
            yield from nested_secrets(task.subjob.tasks)
        if task.parallel is not None:
            yield from nested_secrets(task.parallel.tasks)
        if task.each is not None and task.each.task is not None:
            yield from nested_secrets([task.each.task])
