"""`torkctl submit`: job files go to the server; with --wait or --follow, what became of them comes back."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from torkctl import diagnostics
from torkctl.arguments import CancelOnInterrupt, Ci, Inputs, JUnit, Name, Secrets, Tags, Timeout, timeout_seconds
from torkctl.diagnostics import ExitCode
from torkctl.errors import UsageProblem
from torkctl.session import Session
from torkctl.settings import OutputFormat

if TYPE_CHECKING:
    from torkctl.client import Api
    from torkctl.client.documents import Submitted
    from torkctl.pipeline.reporting import Reporter
    from torkctl.submission import Submission
    from torkctl.waiting import Outcome

_DOCUMENTS = {OutputFormat.JSON, OutputFormat.JSONL, OutputFormat.YAML}


@dataclass(kw_only=True)
class _Order:
    """What is to be done with the files."""

    wait: bool
    follow: bool
    timeout_seconds: float | None
    cancel_on_interrupt: bool
    keys: Sequence[str]
    """The idempotency key of each submission."""

    exit_code_from: str | None
    output: OutputFormat
    reporter: Reporter
    sent: list[Submitted] = field(default_factory=list)
    documents: list[bytes] = field(default_factory=list)

    @property
    def waits(self) -> bool:
        """Whether the command ends with the jobs."""
        return self.wait or self.follow

    @property
    def tells_events(self) -> bool:
        """Whether stdout has what happens, an event a line."""
        return self.follow and self.output is OutputFormat.JSONL


def submit(
    ctx: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Job files (YAML, or .json), or - for stdin.")],
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait until the jobs have ended.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait, and stream the logs.")] = False,
    timeout: Timeout = None,
    cancel_on_interrupt: CancelOnInterrupt = False,
    inputs: Inputs = None,
    secrets: Secrets = None,
    name: Name = "",
    tags: Tags = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            "--idempotency-key",
            metavar="KEY",
            help="The same key and file again is the same job. In a pipeline it has a default.",
        ),
    ] = None,
    exit_code_from: Annotated[
        str | None, typer.Option("--exit-code-from", metavar="TASK", help="Exit with that task's own exit code.")
    ] = None,
    junit: JUnit = None,
    ci: Ci = "auto",
) -> int:
    """Submit jobs, and print their ids.

    Example: torkctl submit --follow job.yaml --tag nightly
    """
    from torkctl.pipeline.reporting import reporter_for
    from torkctl.submission import Overrides, parse_inputs, parse_secrets, read_submissions

    session = Session.of(ctx)
    output = session.settings.output
    seconds = timeout_seconds(timeout)
    reporter = reporter_for(ci, junit, shows_log=follow and output not in _DOCUMENTS)
    overrides = Overrides(
        name=name, tags=tags or (), inputs=parse_inputs(inputs or ()), secrets=parse_secrets(secrets or ())
    )
    with reporter.before_the_wait(files):
        submissions = read_submissions(files, overrides)
        order = _Order(
            wait=wait or cancel_on_interrupt or any(given is not None for given in (exit_code_from, timeout, junit)),
            follow=follow,
            timeout_seconds=seconds,
            cancel_on_interrupt=cancel_on_interrupt,
            keys=_keys(submissions, idempotency_key, has_default=ci != "none"),
            exit_code_from=exit_code_from,
            output=output,
            reporter=reporter,
        )
        _check(order, submissions)
    with session.api() as api:
        return _carry_out(api, session.patient(api) if order.waits else api, order, submissions)


def _keys(submissions: Sequence[Submission], given: str | None, *, has_default: bool) -> list[str]:
    """The key that is given, or that of the step of a pipeline; where there is none, one for this command alone."""
    if given is not None and len(submissions) > 1:
        raise UsageProblem("--idempotency-key names one submission (right would be one FILE)")
    if given is not None:
        return [given]
    keys: list[str] = []
    for number, submission in enumerate(submissions):
        before = sum(earlier.definition == submission.definition for earlier in submissions[:number])
        keys.append((_default_key(submission, before) if has_default else "") or uuid.uuid4().hex)
    return keys


def _default_key(submission: Submission, number: int) -> str:
    from torkctl.pipeline.submission_key import default_key

    return default_key(submission.definition, number, os.environ)


def _check(order: _Order, submissions: Sequence[Submission]) -> None:
    from torkctl.submission import task_names

    if order.exit_code_from is not None and len(submissions) > 1:
        raise UsageProblem("--exit-code-from names a task of one job (right would be one FILE)")
    for submission in submissions:
        if submission.is_scheduled and order.waits:
            raise UsageProblem(
                f"{submission.source}: a job with 'schedule' can't be waited for (right would be no --wait, --follow,"
                " --timeout, --cancel-on-interrupt, --junit or --exit-code-from)"
            )
        names = task_names(submission.definition)
        if order.exit_code_from and order.exit_code_from not in names and not any("{{" in name for name in names):
            known = ", ".join(sorted(filter(None, names))) or "none has a name"
            raise UsageProblem(
                f"--exit-code-from: {submission.source} has no task '{order.exit_code_from}' (its tasks: {known})"
            )


def _carry_out(api: Api, patient: Api, order: _Order, submissions: Sequence[Submission]) -> int:
    """Patience is for a server that has taken a job: before, it may only be the wrong address."""
    try:
        with order.reporter.before_the_wait([submission.source for submission in submissions]):
            for submission, key in zip(submissions, order.keys, strict=True):
                _send(patient if order.sent else api, order, submission, key)
    finally:
        # what was submitted before another failed must be known to its owner
        if order.sent:
            _show_submitted(order, is_whole=len(order.sent) == len(submissions))
    if not order.waits:
        return ExitCode.DONE
    return _wait(patient, order, submissions)


def _send(api: Api, order: _Order, submission: Submission, key: str) -> None:
    from tork.job import JobState
    from torkctl.references import remember_last

    if submission.is_scheduled:
        submitted, document = api.schedule(submission.body, submission.media_type, idempotency_key=key)
    else:
        patience = api.patience()
        submitted, document = api.submit(submission.body, submission.media_type, idempotency_key=key, patience=patience)
        remember_last(submitted.id)
        # a new job's answer is PENDING, however soon it starts; a request that was sent again may find its own job
        if submitted.state != JobState.PENDING.value and not patience.failures:
            diagnostics.warning(
                f"{submission.source}: was submitted before under the same key, as job {submitted.id}, which is"
                f" {submitted.state} (right for another job would be another --idempotency-key)"
            )
    order.sent.append(submitted)
    order.documents.append(document)


def _show_submitted(order: _Order, *, is_whole: bool) -> None:
    from torkctl.narration import write_submission_event
    from torkctl.output import stdout
    from torkctl.output.jobs import write_submitted

    if order.waits and is_whole:
        for job in order.sent:
            diagnostics.notice(f"submitted job {job.id}" + (f" ({job.name})" if job.name else ""))
    if order.tells_events:
        for job, document in zip(order.sent, order.documents, strict=True):
            write_submission_event(job.id, document)
    elif order.waits and is_whole:
        if order.output is OutputFormat.NAME:
            write_submitted(order.sent, order.output)
    elif order.output in _DOCUMENTS:
        stdout.write_documents(order.documents, order.output)
    else:
        write_submitted(order.sent, order.output)


def _wait(api: Api, order: _Order, submissions: Sequence[Submission]) -> int:
    from torkctl.narration import Narrator, any_has_several_tasks
    from torkctl.waiting import Wait, interrupted, tell_whole_ending

    shows_tree = order.follow and order.output in {OutputFormat.TABLE, OutputFormat.WIDE}
    job_ids = list(dict.fromkeys(job.id for job in order.sent))
    narrator = Narrator(
        api=api,
        output=order.output,
        with_names=any_has_several_tasks([submission.definition for submission in submissions]),
        several_jobs=len(job_ids) > 1,
    )
    wait = Wait(
        api=api,
        job_ids=job_ids,
        timeout_seconds=order.timeout_seconds,
        with_logs=order.follow,
        show=narrator.show if order.follow else lambda _item: None,
        tell_ending=(lambda job: tell_whole_ending(api, job)) if shows_tree else None,
    )
    reporter = order.reporter
    reporter.begin(job_ids)
    names = ", ".join(dict.fromkeys(job.name or job.id for job in order.sent))
    try:
        with reporter.around_log(f"The log of {names}"):
            outcomes = wait.run()
    except KeyboardInterrupt:
        code = interrupted(api, job_ids, cancel=order.cancel_on_interrupt)
        reporter.end(api, wait.outcomes_when_interrupted())
        return code
    reporter.end(api, outcomes)
    return _conclude(api, order, outcomes)


def _conclude(api: Api, order: _Order, outcomes: Sequence[Outcome]) -> int:
    from torkctl.endings import task_exit_code
    from torkctl.output.outcomes import write_final_documents, write_outcomes
    from torkctl.waiting import code_for

    code: int = code_for(outcomes)
    if order.exit_code_from and outcomes and outcomes[0].has_ended:
        own_code = task_exit_code(api.job(outcomes[0].job_id), order.exit_code_from)
        code = code if own_code is None else own_code
    if order.output in _DOCUMENTS and not order.tells_events:
        write_final_documents(api, outcomes, order.documents, order.output)
    elif order.output in {OutputFormat.TABLE, OutputFormat.WIDE} and not order.follow:
        write_outcomes(api, outcomes, order.output)
    return code
