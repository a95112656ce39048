"""Tells tasks their place in the trace of their job, so that what they start may join in."""

from __future__ import annotations

from msgspec.structs import replace

from tork.task import TaskDefinition
from torkd.broker.messages import RunTask
from torkd.tracing.protocol import Tracing
from torkd.tracing.span import place_of, traceparent

VARIABLE = "TRACEPARENT"


def with_traceparent(definition: TaskDefinition, message: RunTask, tracing: Tracing) -> TaskDefinition:
    """The task with the variable in the environment of main, pre and post, where they don't set it themselves."""
    place = place_of(message.root_id, message.task_id)
    told = {VARIABLE: traceparent(place, sampled=tracing.samples(place.trace_id))}
    return replace(
        definition,
        env={**told, **definition.env},
        pre=[replace(step, env={**told, **step.env}) for step in definition.pre],
        post=[replace(step, env={**told, **step.env}) for step in definition.post],
    )
