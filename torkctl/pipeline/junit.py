"""Cases as a JUnit file, in the form that Jenkins, GitLab and the reporters of GitHub read.

Invariant: there is never half a file: it is written beside its place, and then takes it.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from torkctl.errors import UsageProblem
from torkctl.pipeline.cases import Case, Ending, JobCases
from torkctl.pipeline.plain_text import plain
from torkctl.pipeline.tails import Tails

_SHORT_ID = 8
_ELEMENTS = {Ending.FAILED: "failure", Ending.ERROR: "error", Ending.SKIPPED: "skipped"}
_MOST_TEXT = 16_000


def checked_target(option: str, path: Path) -> Path:
    """The path, if a file can be written there. Raises `UsageProblem`."""
    try:
        is_other, has_place = path.exists() and not path.is_file(), path.parent.is_dir()
    except OSError as error:
        raise UsageProblem(f"{option} {path}: can't be written: {error.strerror or error}") from error
    if is_other:
        raise UsageProblem(f"{option} {path}: is not a file (right would be the name of a file, such as junit.xml)")
    if not has_place:
        raise UsageProblem(f"{option} {path}: there is no directory {path.parent} (right would be one that exists)")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UsageProblem(f"{option} {path}: nothing can be written in {path.parent}")
    return path


def write_junit(path: Path, jobs: Sequence[JobCases], tails: Tails | None = None) -> None:
    """Put the file there, whole. Raises `OSError`."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(junit_text(jobs, tails).encode())
        Path(name).chmod(_usual_mode(path))
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def junit_text(jobs: Sequence[JobCases], tails: Tails | None = None) -> str:
    """The document: a suite a job, a case a task."""
    names = [job.name or job.job_id[:_SHORT_ID] for job in jobs]
    suites = [
        _suite(job, f"{name} {job.job_id[:_SHORT_ID]}".rstrip() if names.count(name) > 1 else name, tails)
        for job, name in zip(jobs, names, strict=True)
    ]
    totals = _attributes(
        name="torkctl",
        tests=sum(len(job.cases) for job in jobs),
        failures=sum(job.count(Ending.FAILED) for job in jobs),
        errors=sum(job.count(Ending.ERROR) for job in jobs),
        time=_time(sum(job.seconds for job in jobs)),
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites{totals}>\n{"".join(suites)}</testsuites>\n'


def _suite(job: JobCases, name: str, tails: Tails | None) -> str:
    attributes = _attributes(
        name=name,
        tests=len(job.cases),
        failures=job.count(Ending.FAILED),
        errors=job.count(Ending.ERROR),
        skipped=job.count(Ending.SKIPPED),
        time=_time(job.seconds),
        timestamp=job.started_at.strftime("%Y-%m-%dT%H:%M:%S") if job.started_at else "",
    )
    properties = "".join(
        f"      <property{_attributes(name=key, value=value)}/>\n"
        for key, value in (("jobId", job.job_id), ("state", job.state))
        if value
    )
    cases = "".join(_case(case, name, tails) for case in job.cases)
    return f"  <testsuite{attributes}>\n    <properties>\n{properties}    </properties>\n{cases}  </testsuite>\n"


def _case(case: Case, suite: str, tails: Tails | None) -> str:
    tail = tails.of(case) if tails else ""
    attributes = _attributes(classname=suite, name=case.name, time=_time(case.seconds))
    inside: list[str] = []
    if element := _ELEMENTS.get(case.ending):
        why = _attributes(message=case.message, type=case.state or case.ending.value)
        text = _failure_text(case, tail) if case.ending is Ending.FAILED else ""
        inside.append(f"<{element}{why}>{_text(text)}</{element}>")
    printed = "\n".join([*_earlier(case), *([tail] if tail and case.ending is not Ending.FAILED else [])])
    if printed:
        inside.append(f"<system-out>{_text(printed)}</system-out>")
    if not inside:
        return f"    <testcase{attributes}/>\n"
    return f"    <testcase{attributes}>\n" + "".join(f"      {text}\n" for text in inside) + "    </testcase>\n"


def _failure_text(case: Case, tail: str) -> str:
    error = plain(case.task.error if case.task else "")[-_MOST_TEXT:]
    return f"{error}\n\nThe end of its log:\n{tail}" if tail else error


def _earlier(case: Case) -> list[str]:
    of = len(case.earlier) + 1
    return [
        f"[attempt {number} of {of} {run.state.value if run.state else ''}: {plain(run.error)[-1000:]}]"
        for number, run in enumerate(case.earlier[-10:], of - len(case.earlier[-10:]))
    ]


def _attributes(**values: object) -> str:
    return "".join(f" {name}={quoteattr(plain(str(value)))}" for name, value in values.items() if value != "")


def _text(text: str) -> str:
    return escape(text)


def _time(seconds: float) -> str:
    return f"{seconds:.3f}"


def _usual_mode(path: Path) -> int:
    """What a file has that is written in the ordinary way: others on a build server read it."""
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
