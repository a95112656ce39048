"""What became of jobs that were waited for, as documents or rows."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tork.errors import TorkError
from torkctl import diagnostics
from torkctl.client import Api
from torkctl.output import stdout
from torkctl.output.jobs import write_jobs
from torkctl.settings import OutputFormat
from torkctl.waiting import Outcome


def write_final_documents(
    api: Api, outcomes: Sequence[Outcome], documents: Sequence[bytes], output: OutputFormat
) -> None:
    """The API's documents about the jobs as they are now; where it can't be had, the last that is known."""
    stdout.write_documents(
        [_document(api, outcome, known) for outcome, known in zip(outcomes, documents, strict=False)], output
    )


def write_outcomes(api: Api, outcomes: Sequence[Outcome], output: OutputFormat) -> None:
    """The jobs that were waited for, as the format asks."""
    known = [outcome for outcome in outcomes if outcome.job is not None]
    if not known:
        return
    if output in {OutputFormat.JSON, OutputFormat.JSONL, OutputFormat.YAML}:
        write_final_documents(api, known, [msgspec.json.encode(outcome.job) for outcome in known], output)
    else:
        write_jobs([outcome.job for outcome in known if outcome.job is not None], output)


def _document(api: Api, outcome: Outcome, known: bytes) -> bytes:
    if not outcome.has_ended:
        return msgspec.json.encode(outcome.job) if outcome.job else known
    try:
        return api.job_document(outcome.job_id)
    except TorkError as error:
        diagnostics.detail(f"only the summary of job {outcome.job_id} is shown: {error}")
        return msgspec.json.encode(outcome.job)
