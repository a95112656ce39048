"""Job files as values: decoded and checked in one go, so that the command line and the server refuse the same things.

Every problem of a document is reported at once. A document that is too large, too deep or not text at all is refused
before anything is built from it.
"""

from __future__ import annotations

import pathlib
from typing import Literal

import msgspec

from tork.definition.convert import Conversion
from tork.definition.json_tree import read_json
from tork.definition.problems import Path, Problem, Unreadable, as_lines
from tork.definition.rules import validate_job
from tork.definition.text import MAX_BYTES, as_text, too_large
from tork.definition.tree import MAX_NODES, Node, Scalar, locate
from tork.definition.unsaid import without_secrets
from tork.definition.yaml_tree import read_yaml
from tork.errors import DefinitionError
from tork.job import JobDefinition

Format = Literal["yaml", "json"]
ScheduleRule = Literal["allowed", "refused", "required"]

_MAX_PLACED = 1000
"""So many problems get their place; the rest is only counted, so that thousands cost little."""

_JSON = msgspec.json.Decoder(JobDefinition)


def read_job(
    data: bytes | str,
    *,
    source: str = "",
    format: Format | None = None,  # noqa: A002 - the word of the command line and of everybody who calls this
    schedule: ScheduleRule = "allowed",
    max_bytes: int = MAX_BYTES,
) -> JobDefinition:
    """The job in a YAML or JSON document (None: by the ending of `source`, else YAML, which most JSON is too).

    `schedule` says whether the key may be there: 'refused' for what becomes a job at once, 'required' for the scheduler.
    Raises `DefinitionError` with every problem, one line each, starting with `source` if it is given.
    """
    if (format or _format_of(source)) == "json":
        job = _read_plain_json(data, schedule, max_bytes)
        if job is not None:
            return job
        parse, ignore_case = read_json, True
    else:
        parse, ignore_case = read_yaml, False
    try:
        root = parse(as_text(data, max_bytes))
    except Unreadable as error:
        raise DefinitionError([error.problem.told(source)]) from None
    job, problems = _job_in(root, schedule, ignore_case=ignore_case)
    if problems:
        raise DefinitionError([without_secrets(line, job) for line in as_lines(problems, source)])
    return job


def read_scheduled_job(
    data: bytes | str,
    *,
    source: str = "",
    format: Format | None = None,  # noqa: A002 - as in read_job
    max_bytes: int = MAX_BYTES,
) -> JobDefinition:
    """As `read_job`, for the scheduler: `schedule` must be there and `wait` must not."""
    return read_job(data, source=source, format=format, schedule="required", max_bytes=max_bytes)


def read_job_file(
    path: pathlib.Path | str, *, schedule: ScheduleRule = "allowed", max_bytes: int = MAX_BYTES
) -> JobDefinition:
    """The job in a file, of which no more than the limit is ever read. Raises `DefinitionError`, also when it can't be."""
    source = str(path)
    try:
        with pathlib.Path(path).open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise DefinitionError([f"{source}: the file can't be read: {error.strerror or error}"]) from error
    if len(data) > max_bytes:
        raise DefinitionError([too_large(None, max_bytes).problem.told(source)])
    return read_job(data, source=source, schedule=schedule, max_bytes=max_bytes)


def _format_of(source: str) -> Format:
    return "json" if source.lower().endswith(".json") else "yaml"


def _read_plain_json(data: bytes | str, schedule: ScheduleRule, max_bytes: int) -> JobDefinition | None:
    """The job when there is nothing unusual about it: many times faster. None when it takes a closer look."""
    if len(data) > max_bytes:
        return None
    try:
        text = data.encode() if isinstance(data, str) else data
        if b"\\u0000" in text or _may_hold_too_much(text):
            return None
        job = _JSON.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return None if validate_job(job) or _schedule_problems(job, schedule) else job


def _may_hold_too_much(json_text: bytes) -> bool:
    """Whether the values must be counted; each is at the start of an object or list or after a comma, and has a key."""
    return 2 * (json_text.count(b",") + json_text.count(b"{") + json_text.count(b"[")) > MAX_NODES


def _job_in(root: Node | None, schedule: ScheduleRule, *, ignore_case: bool) -> tuple[JobDefinition, list[Problem]]:
    if root is None or (isinstance(root, Scalar) and root.is_null):
        empty = Problem((), "the document is empty (right would be a job with name and tasks)", "empty", 1, 1)
        return JobDefinition(), [empty]
    conversion = Conversion(ignore_case=ignore_case)
    job: JobDefinition = conversion.read(root, JobDefinition)
    broken = [
        problem
        for problem in validate_job(job) + _schedule_problems(job, schedule)
        if not _spoilt(problem.path, conversion.spoilt)
    ]
    placed = [problem.at(locate(root, problem.path, ignore_case=ignore_case)) for problem in broken[:_MAX_PLACED]]
    return job, conversion.problems + placed + broken[_MAX_PLACED:]


def _schedule_problems(job: JobDefinition, schedule: ScheduleRule) -> list[Problem]:
    if schedule == "refused" and job.schedule is not None:
        message = "is an unknown key here (right would be without it: only scheduled jobs have one, which POST /scheduled-jobs takes)"
        return [Problem(("schedule",), message, "unknown")]
    if schedule == "required" and job.schedule is None:
        return [Problem(("schedule",), "is missing (right would be e.g. cron: '@daily' under it)", "required")]
    return []


def _spoilt(path: Path, spoilt: set[Path]) -> bool:
    """Whether something around the path was not readable, so that what a rule says about it would mislead."""
    return bool(spoilt) and any(path[:length] in spoilt for length in range(len(path) + 1))
