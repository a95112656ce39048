"""Asking several jobs to change, one after the other: what one of them refuses does not keep the others from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tork.errors import TorkError, Unavailable
from torkctl import diagnostics
from torkctl.diagnostics import ExitCode, exit_code_of, worst
from torkctl.endings import SHORT_ID
from torkctl.output import stdout
from torkctl.references import resolve_jobs
from torkctl.session import Session
from torkctl.settings import OutputFormat

if TYPE_CHECKING:
    from tork.job import JobSummary
    from torkctl.client import Api
    from torkctl.waiting import Outcome


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is asked of a job."""

    ask: Callable[[Api, str], None]
    done: str
    """What is said of a job that agreed."""

    ends_it: bool = False
    """Whether CANCELLED is the end that is wanted; otherwise an ended job goes on."""


def change_jobs(
    session: Session, references: list[str], *, change: Change, wait: bool, timeout_seconds: float | None
) -> ExitCode:
    """Ask each job, wait for those that agreed if that is wanted, and show them. The first code that applies is returned."""
    output = session.settings.output
    with session.api(waiting=wait) as api:
        job_ids = resolve_jobs(api, references)
        agreed, refusals = _ask(api, job_ids, change)
        codes = [exit_code_of(error) for error in refusals]
        if not wait:
            stdout.write_done(list(agreed), output)
        elif agreed:
            codes += wait_for(api, agreed, change, timeout_seconds, output)
        return worst(codes)


def _ask(api: Api, job_ids: Sequence[str], change: Change) -> tuple[dict[str, JobSummary], list[TorkError]]:
    """The jobs that agreed, as they were before, and why others did not."""
    agreed: dict[str, JobSummary] = {}
    refusals: list[TorkError] = []
    for job_id in job_ids:
        try:
            before = api.job_summary(job_id)
            change.ask(api, job_id)
        except TorkError as error:
            diagnostics.error(f"job {job_id[:SHORT_ID]}: {error}")
            refusals.append(error)
            if isinstance(error, Unavailable):
                break  # the others would wait as long, one after the other
        else:
            agreed[job_id] = before
            diagnostics.notice(f"job {job_id[:SHORT_ID]} {change.done}")
    return agreed, refusals


def wait_for(
    api: Api, agreed: dict[str, JobSummary], change: Change, timeout_seconds: float | None, output: OutputFormat
) -> list[ExitCode]:
    """Wait until the jobs, given as they were before, have ended, and show them. A code for each."""
    from tork.job import JobState
    from torkctl.output.outcomes import write_outcomes
    from torkctl.waiting import Wait, interrupted

    job_ids = list(agreed)
    stale = {} if change.ends_it else agreed
    wanted = JobState.CANCELLED if change.ends_it else JobState.COMPLETED
    try:
        outcomes = Wait(
            api=api, job_ids=job_ids, timeout_seconds=timeout_seconds, stale=stale, wanted_state=wanted
        ).run()
    except KeyboardInterrupt:
        return [interrupted(api, job_ids, cancel=False)]
    write_outcomes(api, outcomes, output)
    return [_as_wanted(outcome) if change.ends_it else outcome.code for outcome in outcomes]


def _as_wanted(outcome: Outcome) -> ExitCode:
    """For somebody who cancels, CANCELLED is success and another end is not."""
    if outcome.has_ended:
        return ExitCode.DONE if outcome.code is ExitCode.CANCELLED else ExitCode.FAILED
    return outcome.code
