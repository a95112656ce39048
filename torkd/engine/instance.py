"""From a definition to what one task really is: templates evaluated, defaults applied.

Evaluation happens once, from the original definition: text that came out of one is never evaluated again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec.structs import replace

from tork.errors import ExpressionError
from tork.expression import render
from tork.job import Defaults
from tork.task import (
    AuxTask,
    Limits,
    Registry,
    Sidecar,
    SubJob,
    TaskDefinition,
    WebhookDefinition,
)
from tork.urls import A_URL, not_a_url

A = TypeVar("A", AuxTask, Sidecar)


def evaluate_task(definition: TaskDefinition, context: Mapping[str, Any]) -> TaskDefinition:
    """The definition with its templates evaluated; children of composites stay as they are until their own turn.

    Raises `ExpressionError`.
    """
    changed: dict[str, Any] = {}
    for name in ("name", "var", "image", "queue", "if_"):
        text = getattr(definition, name)
        if "{{" in text:
            changed[name] = _image_of(text, context) if name == "image" else text_of(text, context)
    if definition.env:
        changed["env"] = _values(definition.env, context)
    if definition.cmd:
        changed["cmd"] = [text_of(text, context) for text in definition.cmd]
    if definition.pre:
        changed["pre"] = [_evaluate_step(step, context) for step in definition.pre]
    if definition.post:
        changed["post"] = [_evaluate_step(step, context) for step in definition.post]
    if definition.sidecars:
        changed["sidecars"] = [_evaluate_step(step, context) for step in definition.sidecars]
    if definition.registry is not None:
        changed["registry"] = _evaluate_registry(definition.registry, context)
    if definition.subjob is not None:
        changed["subjob"] = _evaluate_subjob(definition.subjob, context)
    return replace(definition, **changed) if changed else definition


def text_of(template: str, context: Mapping[str, Any]) -> str:
    """A rendered template, without what no database or message can hold: NUL, and halves of surrogate pairs."""
    if "{{" not in template:
        return template
    text = render(template, context)
    if text.isascii():
        return text.replace("\0", "") if "\0" in text else text
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _image_of(template: str, context: Mapping[str, Any]) -> str:
    """An image that turns out to be none must not send what was meant for a container to the worker's own shell."""
    image = text_of(template, context)
    if template and not image.strip():
        raise ExpressionError(f"the image '{template}' is empty once evaluated (right would be the name of an image)")
    return image


def _values(values: Mapping[str, str], context: Mapping[str, Any]) -> dict[str, str]:
    return {name: text_of(text, context) for name, text in values.items()}


def _evaluate_step(step: A, context: Mapping[str, Any]) -> A:
    return replace(
        step,
        name=text_of(step.name, context),
        image=_image_of(step.image, context),
        cmd=[text_of(text, context) for text in step.cmd],
        env=_values(step.env, context),
        registry=_evaluate_registry(step.registry, context) if step.registry else None,
    )


def _evaluate_registry(registry: Registry, context: Mapping[str, Any]) -> Registry:
    return Registry(username=text_of(registry.username, context), password=text_of(registry.password, context))


def _evaluate_subjob(subjob: SubJob, context: Mapping[str, Any]) -> SubJob:
    return replace(
        subjob,
        name=text_of(subjob.name, context),
        inputs=_values(subjob.inputs, context),
        secrets=_values(subjob.secrets, context),
        webhooks=[_evaluate_webhook(webhook, index, context) for index, webhook in enumerate(subjob.webhooks)],
    )


def _evaluate_webhook(webhook: WebhookDefinition, index: int, context: Mapping[str, Any]) -> WebhookDefinition:
    """The address is not told when it is none: it may hold a secret."""
    url = text_of(webhook.url, context)
    if reason := not_a_url(url) if url != webhook.url else "":
        raise ExpressionError(f"subjob.webhooks[{index}].url {reason} once evaluated (right would be e.g. {A_URL})")
    return replace(webhook, url=url, headers=_values(webhook.headers, context))


def plain_items(items: list[Any]) -> list[Any]:
    """The elements as JSON can hold them: dates, durations and infinite numbers become their text."""
    return [_plain(item) for item in items]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    return text_of("{{ value }}", {"value": value})


def with_defaults(task: TaskDefinition, defaults: Defaults) -> TaskDefinition:
    """The task with the job's defaults in the fields it leaves unset; a priority of 0 counts as unset."""
    changed: dict[str, Any] = {}
    if defaults.limits is not None:
        own = task.limits or Limits()
        changed["limits"] = Limits(cpus=own.cpus or defaults.limits.cpus, memory=own.memory or defaults.limits.memory)
    if defaults.retry is not None and task.retry is None:
        changed["retry"] = defaults.retry
    for name in ("timeout", "queue", "priority"):
        if not getattr(task, name):
            changed[name] = getattr(defaults, name)
    return replace(task, **changed)
