"""`torkctl run`: a job here and now, on a private engine that ends with it. The only door from torkctl to torkd."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from torkctl import diagnostics
from torkctl.arguments import Inputs, Name, Secrets, Tags, Timeout, timeout_seconds
from torkctl.diagnostics import ExitCode
from torkctl.errors import UsageProblem
from torkctl.session import Session
from torkctl.settings import OutputFormat, output_format

if TYPE_CHECKING:
    from tork.job import JobDefinition
    from torkctl.client import Api
    from torkctl.submission import Submission


def run(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A job file, or - for stdin.")],
    timeout: Timeout = None,
    inputs: Inputs = None,
    secrets: Secrets = None,
    name: Name = "",
    tags: Tags = None,
) -> int:
    """Run a job here and now, without a server, and stream its logs. The exit code is the job's.

    Example: torkctl run job.yaml --input region=eu
    """
    from torkctl.submission import Overrides, parse_inputs, parse_secrets, read_submissions

    session = Session.of(ctx)
    output = output_format(session.flags.output)
    seconds = timeout_seconds(timeout)
    overrides = Overrides(
        name=name,
        tags=tags or (),
        inputs=parse_inputs(inputs or ()),
        secrets=parse_secrets(secrets or ()),
        drops_permissions=True,
    )
    [submission] = read_submissions([file], overrides)
    if submission.is_scheduled:
        raise UsageProblem(
            f"{file}: run starts a job once and now, which a job with 'schedule' is not made for"
            " (right would be the file without 'schedule', or torkctl submit)"
        )
    from torkd.standalone import run_private

    try:
        with (
            run_private(queues=queues_of(submission.definition)) as engine,
            session.api(waiting=True, endpoint=engine.endpoint, key=engine.key) as api,
        ):
            return _run(api, submission, output, seconds)
    except KeyboardInterrupt:
        diagnostics.error("interrupted: the job ended with its private engine")
        return ExitCode.INTERRUPTED


def queues_of(definition: JobDefinition) -> frozenset[str]:
    """The queues that the job names anywhere: the private engine's worker reads them all."""
    queues: set[str] = {definition.defaults.queue} if definition.defaults else set()
    tasks = list(definition.tasks)
    while tasks:
        task = tasks.pop()
        queues.add(task.queue)
        tasks += task.parallel.tasks if task.parallel else []
        tasks += [task.each.task] if task.each and task.each.task else []
        tasks += task.subjob.tasks if task.subjob else []
    return frozenset(queue for queue in queues if queue and "{{" not in queue)


def _run(api: Api, submission: Submission, output: OutputFormat, seconds: float | None) -> int:
    from torkctl.narration import Narrator, has_several_tasks
    from torkctl.output.outcomes import write_outcomes
    from torkctl.waiting import Wait, code_for, tell_whole_ending

    submitted, _ = api.submit(submission.body, submission.media_type, idempotency_key=uuid.uuid4().hex)
    narrator = Narrator(api=api, output=output, with_names=has_several_tasks(submission.definition))
    outcomes = Wait(
        api=api,
        job_ids=[submitted.id],
        timeout_seconds=seconds,
        with_logs=True,
        show=narrator.show,
        tell_ending=lambda job: tell_whole_ending(api, job),
        time_is_up="time is up: the job ends here, with its private engine",
    ).run()
    if output in {OutputFormat.JSON, OutputFormat.YAML, OutputFormat.NAME}:
        write_outcomes(api, outcomes, output)
    return code_for(outcomes)
