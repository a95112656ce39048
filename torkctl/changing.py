"""Asking several jobs to change, one after the other: what one of them refuses does not keep the others from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

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

Verb = Literal["cancel", "restart"]

_DONE = {"cancel": "is being cancelled", "restart": "goes on"}


def change_jobs(
    session: Session, references: list[str], *, verb: Verb, wait: bool, timeout_seconds: float | None
) -> ExitCode:
    """Ask each job, wait for those that agreed if that is wanted, and show them. The first code that applies is returned."""
    output = session.settings.output
    with session.api(waiting=wait) as api:
        job_ids = resolve_jobs(api, references)
        agreed, refusals = _ask(api, job_ids, verb)
        codes = [exit_code_of(error) for error in refusals]
        if not wait:
            _show(agreed, output)
        elif agreed:
            codes += _wait(api, agreed, verb, timeout_seconds, output)
        return worst(codes)


def _ask(api: Api, job_ids: Sequence[str], verb: Verb) -> tuple[dict[str, JobSummary], list[TorkError]]:
    """The jobs that agreed, as they were before, and why others did not."""
    agreed: dict[str, JobSummary] = {}
    refusals: list[TorkError] = []
    for job_id in job_ids:
        try:
            before = api.job_summary(job_id)
            (api.cancel if verb == "cancel" else api.restart)(job_id)
        except TorkError as error:
            diagnostics.error(f"job {job_id[:SHORT_ID]}: {error}")
            refusals.append(error)
            if isinstance(error, Unavailable):
                break  # the others would wait as long, one after the other
        else:
            agreed[job_id] = before
            diagnostics.notice(f"job {job_id[:SHORT_ID]} {_DONE[verb]}")
    return agreed, refusals


def _show(agreed: dict[str, JobSummary], output: OutputFormat) -> None:
    if output is OutputFormat.NAME:
        stdout.write_lines(agreed)
    elif output in {OutputFormat.JSON, OutputFormat.JSONL, OutputFormat.YAML} and agreed:
        import msgspec

        stdout.write_documents([msgspec.json.encode({"id": job_id, "status": "OK"}) for job_id in agreed], output)


def _wait(
    api: Api, agreed: dict[str, JobSummary], verb: Verb, timeout_seconds: float | None, output: OutputFormat
) -> list[ExitCode]:
    from tork.job import JobState
    from torkctl.output.outcomes import write_outcomes
    from torkctl.waiting import Wait, interrupted

    job_ids = list(agreed)
    stale = agreed if verb == "restart" else {}
    wanted = JobState.CANCELLED if verb == "cancel" else JobState.COMPLETED
    try:
        outcomes = Wait(
            api=api, job_ids=job_ids, timeout_seconds=timeout_seconds, stale=stale, wanted_state=wanted
        ).run()
    except KeyboardInterrupt:
        return [interrupted(api, job_ids, cancel=False)]
    write_outcomes(api, outcomes, output)
    return [_as_wanted(outcome) if verb == "cancel" else outcome.code for outcome in outcomes]


def _as_wanted(outcome: Outcome) -> ExitCode:
    """For somebody who cancels, CANCELLED is success and another end is not."""
    if outcome.has_ended:
        return ExitCode.DONE if outcome.code is ExitCode.CANCELLED else ExitCode.FAILED
    return outcome.code
