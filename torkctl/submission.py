"""Job files as requests: read, checked with the code the server uses, changed as the flags say.

Invariants: nothing is sent before everything was checked; a secret's value appears in no message.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tork.errors import DefinitionError
from tork.job import JobDefinition
from torkctl import diagnostics
from torkctl.errors import UsageProblem

STDIN = "-"
JSON_TYPE = "application/json"
YAML_TYPE = "text/yaml"


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """What the flags change in a job file."""

    name: str = ""
    tags: Sequence[str] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    drops_permissions: bool = False
    """For an engine that nobody else can reach, and that knows no accounts."""

    def applied_to(self, job: JobDefinition) -> JobDefinition:
        """The job with the changes. What a key holds in both comes from the flag; tags are added."""
        return msgspec.structs.replace(
            job,
            name=self.name or job.name,
            tags=list(dict.fromkeys([*job.tags, *self.tags])),
            inputs={**job.inputs, **self.inputs},
            secrets={**job.secrets, **self.secrets},
            permissions=[] if self.drops_permissions else job.permissions,
            wait=None,  # the command line waits by itself: a request that hangs is the first thing a proxy cuts
        )


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A checked job file, ready to be sent."""

    source: str
    definition: JobDefinition
    body: bytes = field(repr=False)
    media_type: str

    @property
    def is_scheduled(self) -> bool:
        """Whether it belongs to the scheduler."""
        return self.definition.schedule is not None


def read_submissions(paths: Sequence[str], overrides: Overrides) -> list[Submission]:
    """Every file, checked. Raises `DefinitionError` with the problems of all of them."""
    if list(paths).count(STDIN) > 1:
        raise UsageProblem("'-' can be given once: there is one standard input")
    submissions: list[Submission] = []
    problems: list[str] = []
    for path in paths:
        try:
            submissions.append(_read(path, overrides))
        except DefinitionError as error:
            problems += error.problems
    if problems:
        raise DefinitionError(problems)
    return submissions


def read_definition(path: str) -> tuple[JobDefinition, bytes]:
    """The job in a file, or on standard input, and the text it was read from. Raises `DefinitionError`."""
    from tork.definition import read_job
    from tork.definition.text import MAX_BYTES

    source = "<stdin>" if path == STDIN else path
    try:
        if path == STDIN:
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                data = file.read(MAX_BYTES + 1)  # one more than is allowed, which read_job then refuses
    except OSError as error:
        raise DefinitionError([f"{source}: the file can't be read: {error.strerror or error}"]) from error
    return read_job(data, source=source), data


def parse_inputs(pairs: Iterable[str]) -> dict[str, str]:
    """The values of `--input KEY=VALUE`."""
    inputs: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise UsageProblem(f"--input '{pair}' is not KEY=VALUE (right would be e.g. --input region=eu)")
        inputs[key] = value
    return inputs


def parse_secrets(pairs: Iterable[str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The values of `--secret`: KEY=VALUE, KEY=@FILE (one line end at its end is not part of it) or KEY=env:VARIABLE."""
    secrets: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise UsageProblem(
                "a --secret is not KEY=VALUE (right would be e.g. --secret token=env:TOKEN or --secret token=@FILE)"
            )
        secrets[key] = secret_value(f"--secret {key}", value, environ)
    return secrets


def secret_value(option: str, value: str, environ: Mapping[str, str]) -> str:
    """What `@FILE` (one line end at its end is not part of it) or `env:VARIABLE` stands for; else the value itself."""
    if value.startswith("@"):
        try:
            text = Path(value[1:]).read_text(encoding="utf-8")
        except OSError as error:
            raise UsageProblem(f"{option}: {value[1:]} can't be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise UsageProblem(f"{option}: {value[1:]} is not UTF-8 text") from error
        return text.removesuffix("\n").removesuffix("\r")
    if value.startswith("env:"):
        variable = value.removeprefix("env:")
        if variable not in environ:
            raise UsageProblem(f"{option}: the environment has no variable {variable}")
        return environ[variable]
    return value


def unread_inputs(job: JobDefinition, names: Iterable[str]) -> list[str]:
    """Those of the names that a job with inputs of its own neither declares nor reads anywhere."""
    unknown = [name for name in names if name not in job.inputs]
    if not unknown or not job.inputs:
        return []
    from tork.expression import references

    read = {reference for text in _texts(msgspec.to_builtins(job)) for reference in references(text)}
    read |= {reference for text in _conditions(msgspec.to_builtins(job)) for reference in references(text, single=True)}
    return [name for name in unknown if not {("inputs", name), ("inputs", None)} & read]


def _texts(document: object) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    for inner in _inside(document):
        yield from _texts(inner)


def _conditions(document: object) -> Iterator[str]:
    """What is evaluated whether or not it is in braces."""
    if isinstance(document, dict):
        yield from (text for key, text in document.items() if key in {"if", "list"} and isinstance(text, str) and text)
    for inner in _inside(document):
        yield from _conditions(inner)


def _inside(document: object) -> Iterable[object]:
    if isinstance(document, dict):
        return document.values()
    return document if isinstance(document, list) else ()


def task_names(job: JobDefinition) -> set[str]:
    """The names of all tasks in the file, at any depth."""
    names: set[str] = set()
    waiting = list(job.tasks)
    while waiting:
        task = waiting.pop()
        names.add(task.name)
        if task.parallel:
            waiting += task.parallel.tasks
        if task.each and task.each.task:
            waiting.append(task.each.task)
    return names


def as_submission(data: bytes, *, source: str) -> Submission:
    """The content of a job file, checked, unchanged but for `wait`. Raises `DefinitionError`."""
    from tork.definition import read_job

    return _changed(read_job(data, source=source), data, source, Overrides())


def _read(path: str, overrides: Overrides) -> Submission:
    definition, data = read_definition(path)
    for name in unread_inputs(definition, overrides.inputs):
        declared = ", ".join(sorted(definition.inputs))
        diagnostics.warning(
            f"--input {name}: {path} has no such input, and nothing in it reads one (it has {declared})"
        )
    return _changed(definition, data, path, overrides)


def _changed(definition: JobDefinition, data: bytes, path: str, overrides: Overrides) -> Submission:
    changed = overrides.applied_to(definition)
    if changed == definition:
        return Submission(source=path, definition=definition, body=data, media_type=_media_type(path))
    body = msgspec.json.encode(changed)
    return Submission(source=path, definition=changed, body=body, media_type=JSON_TYPE)


def _media_type(path: str) -> str:
    # nearly all JSON is YAML, so what comes from standard input is read, here and there, as YAML
    return JSON_TYPE if path.lower().endswith(".json") else YAML_TYPE
