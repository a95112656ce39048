"""Waiting for jobs, with or without their logs, and telling the truth about how it ended.

Invariants: a code other than 5 and 124 is returned only for what the server itself said of the job; one job's trouble
does not end the wait for the others; a reader of stdout that went away does not change the outcome.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import assert_never

from tork.errors import StateConflict, TorkError
from tork.job import JobState, JobSummary
from torkctl import diagnostics
from torkctl.client import Api, Patience
from torkctl.diagnostics import ExitCode, exit_code_of, worst
from torkctl.endings import SHORT_ID, code_of, ending_text
from torkctl.nesting import sub_jobs
from torkctl.settings import REQUEST_RETRY_SECONDS
from torkctl.watching import Item, JobLost, JobSeen, LogDone, LogSeen, SubJobSeen, TaskSeen, Watch

_LOG_GRACE_SECONDS = 45.0
"""How long the end of the log may take after the end of its job; the outcome is known by then."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What is known of a job when the wait is over. `job` is None when the server never told."""

    job_id: str
    code: ExitCode
    job: JobSummary | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the server said that the job has ended."""
        return self.job is not None and not self.job.state.is_active


@dataclass(kw_only=True)
class Wait:
    """One wait for one or several jobs. `show` gets everything that is learnt, in its order."""

    api: Api
    job_ids: Sequence[str]
    timeout_seconds: float | None = None
    any_one: bool = False
    with_logs: bool = False
    stale: Mapping[str, JobSummary] = field(default_factory=dict)
    show: Callable[[Item], None] = lambda _item: None
    tell_ending: Callable[[JobSummary], None] | None = None
    """Tells of a job's end, after its log; by default in one sentence."""

    wanted_state: JobState = JobState.COMPLETED
    """The end that is told of as a good one."""

    time_is_up: str = ""
    """What is said when the time is up; by default which jobs go on."""

    _outcomes: dict[str, Outcome] = field(default_factory=dict)
    _latest: dict[str, JobSummary] = field(default_factory=dict)
    _open_logs: dict[str, str] = field(default_factory=dict)
    """The jobs whose log goes on, sub-jobs among them, each with the job that is waited for."""
    _untold: dict[str, JobSummary] = field(default_factory=dict)
    _stdout_is_gone: bool = False

    def run(self) -> list[Outcome]:
        """Block until all jobs have ended (or one, with `any_one`), or time is up. One outcome for each job, in order."""
        watch = Watch(self.api, self.job_ids, with_logs=self.with_logs, all_at_once=self.any_one, stale=self.stale)
        self._open_logs = {job_id: job_id for job_id in self.job_ids} if self.with_logs else {}
        time_is_up_at = None if self.timeout_seconds is None else time.monotonic() + self.timeout_seconds
        with closing(watch):
            self._collect(watch, time_is_up_at)
        return [self._outcomes[job_id] for job_id in self.job_ids if job_id in self._outcomes]

    def outcomes_when_interrupted(self) -> list[Outcome]:
        """What is known of every job so far."""
        return [
            self._outcomes.get(job_id)
            or Outcome(job_id=job_id, code=ExitCode.INTERRUPTED, job=self._latest.get(job_id))
            for job_id in self.job_ids
        ]

    def _collect(self, watch: Watch, time_is_up_at: float | None) -> None:
        while not self._is_over():
            deadline = time_is_up_at
            if self._jobs_are_over():
                grace_ends_at = time.monotonic() + _LOG_GRACE_SECONDS
                deadline = grace_ends_at if deadline is None else min(deadline, grace_ends_at)
            item = watch.next(deadline)
            if item is not None:
                self._learn(item)
                self._tell_endings()
            elif self._jobs_are_over():
                diagnostics.warning("the end of the log did not come; what was shown may be incomplete")
                self._open_logs.clear()
            else:
                self._give_up()
                return
        self._tell_endings()

    def _is_over(self) -> bool:
        return self._jobs_are_over() and not self._open_logs

    def _jobs_are_over(self) -> bool:
        return len(self._outcomes) >= (1 if self.any_one else len(self.job_ids))

    def _learn(self, item: Item) -> None:
        if isinstance(item, JobSeen) and item.job_id in self.job_ids:
            self._learn_state(item)
            return
        self._pass_on(item)
        match item:
            case JobLost(job_id=job_id, error=error):
                self._lose(job_id, error)
            case LogDone(job_id=job_id, error=error):
                awaited = self._open_logs.pop(job_id, job_id)
                if error is not None and (awaited not in self._outcomes or job_id != awaited):
                    diagnostics.warning(f"the log of job {job_id[:SHORT_ID]} can't be read to its end: {error}")
            case SubJobSeen(job_id=job_id, sub_job_id=sub_job_id):
                self._open_logs[sub_job_id] = self._open_logs.get(job_id, job_id)
            case JobSeen() | TaskSeen() | LogSeen():
                pass
            case _:
                assert_never(item)

    def _learn_state(self, item: JobSeen) -> None:
        self._latest[item.job_id] = item.job
        if item.job.state.is_active:
            self._pass_on(item)
        else:
            self._outcomes[item.job_id] = Outcome(job_id=item.job_id, code=code_of(item.job.state), job=item.job)
            self._untold[item.job_id] = item.job

    def _pass_on(self, item: Item) -> None:
        if self._stdout_is_gone:
            return
        try:
            self.show(item)
        except BrokenPipeError:
            from torkctl.output import stdout

            stdout.abandon()
            self._stdout_is_gone = True

    def _lose(self, job_id: str, error: Exception) -> None:
        code = exit_code_of(error)
        if code is ExitCode.USAGE:
            # Whoever refused to answer, a proxy perhaps, has not said how the job ends.
            code = ExitCode.UNKNOWN
        self._outcomes[job_id] = Outcome(job_id=job_id, code=code, job=self._latest.get(job_id))
        self._open_logs = {log: awaited for log, awaited in self._open_logs.items() if awaited != job_id}
        unknown = "; whether it goes well is unknown" if code is ExitCode.UNKNOWN else ""
        diagnostics.error(f"job {job_id[:SHORT_ID]}: {error}{unknown}")
        if not isinstance(error, TorkError) and diagnostics.is_verbose():
            import traceback

            diagnostics.block("".join(traceback.format_exception(error)).rstrip())

    def _give_up(self) -> None:
        for job_id in self.job_ids:
            if job_id not in self._outcomes:
                job = self._latest.get(job_id)
                self._outcomes[job_id] = Outcome(job_id=job_id, code=ExitCode.TIMED_OUT, job=job)
                state = f" ({job.state.value})" if job else ""
                diagnostics.error(
                    self.time_is_up or f"time is up: job {job_id[:SHORT_ID]}{state} goes on (torkctl wait {job_id})"
                )

    def _tell_endings(self) -> None:
        """Only when the job's log is told, so that the sentence about its end is the last."""
        going_on = set(self._open_logs.values())
        for job_id in [job_id for job_id in self._untold if job_id not in going_on]:
            job = self._untold.pop(job_id)
            self._pass_on(JobSeen(job_id=job_id, job=job))
            if self.tell_ending:
                self.tell_ending(job)
            else:
                diagnostics.verdict(ending_sentence(self.api, job), is_good=job.state is self.wanted_state)


def ending_sentence(api: Api, job: JobSummary) -> str:
    """The sentence about a job's end, with the task that failed when the server still tells."""
    if code_of(job.state) is ExitCode.FAILED:
        try:
            report = api.job(job.id)
            return ending_text(report, sub_jobs(api, report))
        except TorkError as error:
            diagnostics.detail(f"the failed task is not known: {error}")
    return ending_text(job)


def tell_whole_ending(api: Api, job: JobSummary) -> None:
    """The job's tree, and under it the sentence about its end."""
    from torkctl.output.tree import tree_lines

    try:
        report = api.job(job.id)
        below = sub_jobs(api, report)
    except TorkError as error:
        diagnostics.detail(f"the tasks of job {job.id} are not known: {error}")
        text = ending_text(job)
    else:
        diagnostics.block("\n".join(tree_lines(report, color=diagnostics.uses_color(), sub_jobs=below)))
        text = ending_text(report, below)
    diagnostics.verdict(text, is_good=job.state is JobState.COMPLETED)


def code_for(outcomes: Sequence[Outcome]) -> ExitCode:
    """The one exit code for the wait."""
    return worst(outcome.code for outcome in outcomes)


def interrupted(api: Api, job_ids: Sequence[str], *, cancel: bool) -> ExitCode:
    """Say what an interrupt means for the jobs, and cancel them where that was asked for."""
    brief = Api(api.transport, lambda: Patience(window_seconds=REQUEST_RETRY_SECONDS))
    for job_id in job_ids:
        short_id = job_id[:SHORT_ID]
        if not cancel:
            diagnostics.error(f"interrupted: job {short_id} goes on (torkctl wait {job_id})")
            continue
        try:
            brief.cancel(job_id)
        except StateConflict:
            diagnostics.error(f"interrupted: job {short_id} has ended already")
        except TorkError as error:
            diagnostics.error(f"interrupted: job {short_id} could not be cancelled: {error}")
        else:
            diagnostics.error(f"interrupted: job {short_id} is being cancelled")
    return ExitCode.INTERRUPTED
