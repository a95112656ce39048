"""What became of jobs as Markdown, for the page about a run of a workflow."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path

from torkctl.output.times import seconds_text
from torkctl.pipeline.cases import Case, Ending, JobCases
from torkctl.pipeline.plain_text import plain
from torkctl.pipeline.tails import Tails

_MOST_ROWS = 100
_MOST_TAILS = 10
_LONGEST = 60_000
_LONGEST_TABLES = 250_000
"""In characters. The page takes a megabyte of a step, and nothing of one that has more; older ones take an eighth of it."""

_MARKS = {Ending.PASSED: "✅", Ending.FAILED: "❌", Ending.ERROR: "❌", Ending.SKIPPED: "⏭️"}
_SPECIAL = re.compile(r"[\\`*_\[\]{}()#+.!|~@:-]")


def append_summary(path: Path, jobs: Sequence[JobCases], tails: Tails) -> None:
    """Add it to what other commands of the step have written. Raises `OSError`."""
    text = summary_text(jobs, tails)
    with path.open("ab") as file:
        file.write(text.encode())


def summary_text(jobs: Sequence[JobCases], tails: Tails) -> str:
    """A table a job, and the ends of the logs of what failed."""
    text = _tables(jobs)
    for case in [case for job in jobs for case in job.cases if case.ending is Ending.FAILED][:_MOST_TAILS]:
        told = _failure(case, tails.of(case))
        if len(text) + len(told) <= _LONGEST:
            text += told
    return text


def _tables(jobs: Sequence[JobCases]) -> str:
    """In the order of the jobs. Where not all fit, those that went wrong come before the others."""
    shown: dict[int, str] = {}
    length = 0
    for number, job in sorted(enumerate(jobs), key=lambda numbered: _is_well(numbered[1])):
        table = _table(job)
        length += len(table)
        if length > _LONGEST_TABLES:
            break
        shown[number] = table
    left = len(jobs) - len(shown)
    rest = f"… and {left} more {'job' if left == 1 else 'jobs'}\n\n" if left else ""
    return "".join(shown[number] for number in sorted(shown)) + rest


def _is_well(job: JobCases) -> bool:
    return not job.count(Ending.FAILED) and not job.count(Ending.ERROR)


def _table(job: JobCases) -> str:
    shown = sorted(job.cases, key=lambda case: case.ending not in {Ending.FAILED, Ending.ERROR})[:_MOST_ROWS]
    kept = {id(case) for case in shown}
    rows = "".join(_row(case) for case in job.cases if id(case) in kept)
    left = len(job.cases) - len(shown)
    rest = f"\n… and {left} more\n" if left else ""
    name = inline(job.name) or "job"
    return (
        f"### {name}: {job.state} after {seconds_text(job.seconds)}\n\n`{job.job_id}`\n\n"
        f"| | task | state | duration | |\n| --- | --- | --- | --- | --- |\n{rows}{rest}\n"
    )


def _row(case: Case) -> str:
    attempts = f" (attempt {len(case.earlier) + 1})" if case.earlier else ""
    state = (case.state or "-") + attempts
    duration = seconds_text(case.seconds) if case.seconds else ""
    return f"| {_MARKS[case.ending]} | {inline(case.name)} | {state} | {duration} | {inline(case.message[:200])} |\n"


def _failure(case: Case, tail: str) -> str:
    if not tail:
        return ""
    return (
        f"<details><summary>The end of the log of {inline(case.name)}</summary>\n\n"
        f"<pre>{html.escape(tail)}</pre>\n\n</details>\n\n"
    )


def inline(text: str) -> str:
    """Text that is only text: on one line, with nothing that Markdown or HTML would make something of."""
    line = " ".join(plain(text).split())
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", html.escape(line, quote=False))
