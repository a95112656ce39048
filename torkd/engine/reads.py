"""What of a job's context a definition refers to, so that only that is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tork.expression import references
from tork.task import AuxTask, Registry, SubJob, TaskDefinition

NAMESPACES = ("inputs", "secrets", "tasks")
"""The namespaces that are stored; `job` comes with the job's row."""


@dataclass(frozen=True, slots=True)
class Reads:
    """Context keys such as `inputs.size`, and namespaces that may be read whole."""

    keys: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()

    def covers(self, other: Reads) -> bool:
        """Whether whatever `other` needs is in here."""
        missing = other.keys - self.keys
        return other.namespaces <= self.namespaces and all(key.partition(".")[0] in self.namespaces for key in missing)

    def __or__(self, other: Reads) -> Reads:
        """Both."""
        return Reads(self.keys | other.keys, self.namespaces | other.namespaces)


NOTHING = Reads()


def reads_of(definition: TaskDefinition) -> Reads:
    """What a task, its children included, may read when it is evaluated. Tasks of a sub-job have a context of their own."""
    return _collect(_templates(definition))


def reads_of_text(template: str) -> Reads:
    """What a template may read."""
    return _collect([(template, False)])


def _collect(texts: Iterable[tuple[str, bool]]) -> Reads:
    keys: set[str] = set()
    namespaces: set[str] = set()
    for text, single in texts:
        for namespace, name in references(text, single=single):
            if namespace not in NAMESPACES:
                continue
            if name is None:
                namespaces.add(namespace)
            else:
                keys.add(f"{namespace}.{name}")
    return Reads(frozenset(keys), frozenset(namespaces))


def _templates(definition: TaskDefinition) -> Iterator[tuple[str, bool]]:
    for text in (definition.var, definition.queue, definition.if_):
        yield from _if_template(text)
    yield from _step_templates(definition)
    for step in (*definition.pre, *definition.post, *definition.sidecars):
        yield from _step_templates(step)
    if definition.parallel is not None:
        for task in definition.parallel.tasks:
            yield from _templates(task)
    if definition.each is not None:
        yield definition.each.list, True
        if definition.each.task is not None:
            yield from _templates(definition.each.task)
    if definition.subjob is not None:
        yield from _subjob_templates(definition.subjob)


def _step_templates(step: TaskDefinition | AuxTask) -> Iterator[tuple[str, bool]]:
    for text in (step.name, step.image, *step.cmd, *step.env.values()):
        yield from _if_template(text)
    yield from _registry_templates(step.registry)


def _registry_templates(registry: Registry | None) -> Iterator[tuple[str, bool]]:
    if registry is not None:
        yield from _if_template(registry.username)
        yield from _if_template(registry.password)


def _subjob_templates(subjob: SubJob) -> Iterator[tuple[str, bool]]:
    for text in (subjob.name, *subjob.inputs.values(), *subjob.secrets.values()):
        yield from _if_template(text)
    for webhook in subjob.webhooks:
        for text in (webhook.url, *webhook.headers.values()):
            yield from _if_template(text)


def _if_template(text: str) -> Iterator[tuple[str, bool]]:
    if "{{" in text:
        yield text, False
