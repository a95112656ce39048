"""Fills in what the task leaves to the worker: limits and timeout."""

from __future__ import annotations

import msgspec

from tork.task import Limits, TaskDefinition
from torkd.worker.options import WorkerOptions


def with_default_limits(definition: TaskDefinition, options: WorkerOptions) -> TaskDefinition:
    """The task with the worker's limits where it has none of its own."""
    if options.timeout and not definition.timeout:
        definition = msgspec.structs.replace(definition, timeout=options.timeout)
    if not options.cpus and not options.memory:
        return definition
    own = definition.limits or Limits()
    limits = Limits(cpus=own.cpus or options.cpus, memory=own.memory or options.memory)
    return msgspec.structs.replace(definition, limits=limits)
