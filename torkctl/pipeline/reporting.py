"""What a pipeline is told of a wait: around its log, and when it is over, however it ended.

Invariant: nothing here changes the exit code. What can't be written is told, and the rest is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tork.errors import DefinitionError, TorkError
from torkctl import diagnostics
from torkctl.diagnostics import ExitCode
from torkctl.output import stdout
from torkctl.pipeline.surroundings import Server, server_of

if TYPE_CHECKING:
    from torkctl.client import Api
    from torkctl.pipeline.cases import Case, JobCases
    from torkctl.pipeline.tails import Tails
    from torkctl.waiting import Outcome

_MOST_ANNOTATIONS = 10
"""GitHub shows so many of a step."""

_MOST_SHOWN_TAILS = 10
_ANNOTATION_LINES, _ANNOTATION_CHARACTERS = 10, 2_000

_UNFINISHED = {
    ExitCode.TIMED_OUT: "the time was up; the job goes on",
    ExitCode.INTERRUPTED: "the wait was interrupted before the job had ended",
    ExitCode.UNKNOWN: "the server could not be asked; how the job ends is unknown",
    ExitCode.DENIED: "the server refused the credentials; how the job ends is unknown",
    ExitCode.NOT_FOUND: "there is no such job any more",
}
_PLACE = re.compile(r"(?P<file>.+?):(?P<line>\d+):(?P<col>\d+): (?P<what>.*)", re.DOTALL)
_CUT_OFF = "torkctl was killed before the wait ended; how the job ends is unknown"


@dataclass(kw_only=True)
class Reporter:
    """The reports of one command that waits."""

    server: Server = Server.NONE
    junit: Path | None = None
    shows_log: bool = False
    """Whether the log of the jobs goes to stdout as text."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def is_wanted(self) -> bool:
        """Whether anybody reads a report."""
        return self.junit is not None or self.server is not Server.NONE

    @contextmanager
    def before_the_wait(self, names: Sequence[str]) -> Iterator[None]:
        """What fails inside keeps those jobs from being waited for: that is reported, so that no older file is taken for this one."""
        try:
            yield
        except (TorkError, KeyboardInterrupt) as error:
            self._report_start(names, error)
            raise

    def _report_start(self, names: Sequence[str], error: BaseException) -> None:
        problems = list(error.problems) if isinstance(error, DefinitionError) else [str(error) or "interrupted"]
        if self.junit is not None:
            from torkctl.pipeline.cases import unknown_cases

            why = f"it was not waited for: {problems[0]}"
            self._write_junit([unknown_cases("", name=name, unfinished=why) for name in names])
        if self.server is Server.GITHUB and not isinstance(error, KeyboardInterrupt):
            diagnostics.write_as_it_is("".join(map(_problem_annotation, problems[:_MOST_ANNOTATIONS])))

    def begin(self, job_ids: Sequence[str]) -> None:
        """Say in the file that the wait has no end, for the case that it never gets one."""
        if self.junit is not None:
            from torkctl.pipeline.cases import unknown_cases

            self._write_junit([unknown_cases(job_id, unfinished=_CUT_OFF) for job_id in job_ids])

    @contextmanager
    def around_log(self, title: str) -> Iterator[None]:
        """The log of the jobs is written inside."""
        if not self.shows_log or self.server is Server.NONE or stdout.is_file():
            yield
            return
        from torkctl.pipeline.sections import section

        with section(self.server, self._write, title, name=f"torkctl_log_{os.getpid()}"):
            if self.server is not Server.GITHUB:
                yield
                return
            with stdout.unguarded():
                yield

    def end(self, api: Api, outcomes: Sequence[Outcome]) -> None:
        """Report what became of the jobs."""
        if not self.is_wanted or not outcomes:
            return
        from torkctl.client import Api, Patience
        from torkctl.pipeline.tails import Tails

        is_over = all(outcome.has_ended for outcome in outcomes)
        if not is_over:
            # Little time may be left, and the server may be away: what is known already is written first.
            self._write_junit([_known(outcome) for outcome in outcomes])
        asked = api if is_over else Api(api.transport, lambda: Patience(window_seconds=0))
        jobs = [_read(asked, outcome) for outcome in outcomes]
        tails = Tails(api=asked, with_passed=self.junit is not None)
        tails.read(jobs)
        self._write_junit(jobs, tails)
        if self.server is not Server.NONE:
            self._tell_failures(jobs, tails)
        if self.server is Server.GITHUB:
            self._append_summary(jobs, tails)

    def _write_junit(self, jobs: Sequence[JobCases], tails: Tails | None = None) -> None:
        from torkctl.pipeline.junit import write_junit

        if self.junit is None:
            return
        try:
            write_junit(self.junit, jobs, tails)
        except OSError as error:
            diagnostics.error(f"--junit {self.junit}: can't be written: {error.strerror or error}")

    def _append_summary(self, jobs: Sequence[JobCases], tails: Tails) -> None:
        from torkctl.pipeline.summary import append_summary

        path = self.environ.get("GITHUB_STEP_SUMMARY")
        if not path:
            return
        try:
            append_summary(Path(path), jobs, tails)
        except OSError as error:
            diagnostics.warning(f"GITHUB_STEP_SUMMARY: {path} can't be written: {error.strerror or error}")

    def _tell_failures(self, jobs: Sequence[JobCases], tails: Tails) -> None:
        from torkctl.pipeline.cases import Ending

        bad = [(job, case) for job in jobs for case in job.cases if case.ending in {Ending.FAILED, Ending.ERROR}]
        if not self.shows_log:
            for _, case in bad[:_MOST_SHOWN_TAILS]:
                self._show_tail(case, tails.of(case))
        if self.server is Server.GITHUB:
            self._write("".join(_annotation(job, case, tails.of(case)) for job, case in bad[:_MOST_ANNOTATIONS]))

    def _show_tail(self, case: Case, tail: str) -> None:
        from torkctl.pipeline.sections import section

        if tail:
            title = f"The end of the log of task '{case.name}'"
            with section(self.server, self._write, title, name=f"torkctl_task_{case.task.id if case.task else ''}"):
                self._write(f"{tail}\n")

    def _write(self, text: str) -> None:
        """To the stream that has the log, so that its order is kept; else to stderr, where stdout is data."""
        if not text:
            return
        write: Callable[[str], None] = diagnostics.write_as_it_is
        if self.shows_log and not stdout.is_file():
            write = stdout.write_as_it_is
        try:
            write(text)
        except BrokenPipeError:
            stdout.abandon()


def reporter_for(ci: str, junit: str | None, *, shows_log: bool = False) -> Reporter:
    """The reporter that the options ask for. Raises `UsageProblem`."""
    from torkctl.pipeline.junit import checked_target

    return Reporter(
        server=server_of(ci, os.environ),
        junit=None if junit is None else checked_target("--junit", Path(junit)),
        shows_log=shows_log,
    )


def _known(outcome: Outcome) -> JobCases:
    """What the wait itself has learnt."""
    from torkctl.pipeline.cases import unknown_cases

    state = outcome.job.state.value if outcome.job else "UNKNOWN"
    unfinished = "" if outcome.has_ended else _UNFINISHED.get(outcome.code, "the job had not ended")
    return unknown_cases(outcome.job_id, state=state, unfinished=unfinished or f"the job ended as {state}")


def _read(api: Api, outcome: Outcome) -> JobCases:
    from torkctl.nesting import sub_jobs
    from torkctl.pipeline.cases import cases_of

    unfinished = "" if outcome.has_ended else _UNFINISHED.get(outcome.code, "the job had not ended")
    try:
        job = api.job(outcome.job_id)
        return cases_of(job, sub_jobs(api, job), unfinished=unfinished)
    except TorkError as error:
        diagnostics.detail(f"the tasks of job {outcome.job_id} are not known: {error}")
        return _known(outcome)


def _problem_annotation(problem: str) -> str:
    """With its place, where the build server can show it in the file."""
    from torkctl.workflow_commands import command

    found = _PLACE.match(problem)
    if not found:
        return command("error", problem, title="torkctl")
    return command("error", found["what"], file=found["file"], line=found["line"], col=found["col"])


def _annotation(job: JobCases, case: Case, tail: str) -> str:
    from torkctl.pipeline.plain_text import last_lines
    from torkctl.workflow_commands import command

    what = f"task '{case.name}' {case.state}" if case.task else f"job {job.name or job.job_id[:8]} {case.state}"
    lines = last_lines(tail, _ANNOTATION_LINES, _ANNOTATION_CHARACTERS)
    return command("error", "\n".join([case.message, *([lines] if lines else [])]), title=what)
