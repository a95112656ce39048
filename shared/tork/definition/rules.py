"""What a job must obey beyond its types: everything that a submission is refused for, found all at once.

Works on values, not on text, so that jobs built in code are held to the same rules. Paths lead to the place in the file.
"""

from __future__ import annotations

from tork.account import PermissionDefinition
from tork.definition.cron import CronError, parse_cron
from tork.definition.findings import Findings
from tork.definition.problems import Path, Problem
from tork.definition.task_rules import check_retry, check_tasks, check_webhooks
from tork.job import CatchUp, Defaults, JobDefinition, Overlap
from tork.task import MAX_PRIORITY


def validate_job(job: JobDefinition) -> list[Problem]:
    """Everything that is wrong with the job; an empty list when it may be submitted."""
    found = Findings()
    found.required(job.name, ("name",), "a text such as 'nightly build'")
    check_tasks(job.tasks, ("tasks",), found)
    found.expression(job.output, ("output",))
    if job.defaults:
        _check_defaults(job.defaults, ("defaults",), found)
    check_webhooks(job.webhooks, ("webhooks",), found)
    for index, permission in enumerate(job.permissions):
        _check_permission(permission, ("permissions", index), found)
    if job.auto_delete:
        found.duration(job.auto_delete.after, ("autoDelete", "after"))
    if job.wait:
        found.required(job.wait.timeout, ("wait", "timeout"), "a duration such as '30s'")
        found.duration(job.wait.timeout, ("wait", "timeout"))
    if job.schedule:
        _check_schedule(job, found)
    return found.problems


def _check_defaults(defaults: Defaults, path: Path, found: Findings) -> None:
    if defaults.retry:
        check_retry(defaults.retry, (*path, "retry"), found)
    found.duration(defaults.timeout, (*path, "timeout"))
    found.queue(defaults.queue, (*path, "queue"))
    found.within(defaults.priority, 0, MAX_PRIORITY, (*path, "priority"))


def _check_permission(permission: PermissionDefinition, path: Path, found: Findings) -> None:
    if bool(permission.user) == bool(permission.role):
        has = "has both user and role" if permission.user else "has neither user nor role"
        found.add(path, f"{has} (right would be exactly one of them)", "roleoruser")


def _check_schedule(job: JobDefinition, found: Findings) -> None:
    assert job.schedule is not None
    path = ("schedule", "cron")
    if not job.schedule.cron:
        found.required(job.schedule.cron, path, "e.g. '0 9 * * MON-FRI', '@daily' or '@every 5m'")
    else:
        try:
            parse_cron(job.schedule.cron)
        except CronError as error:
            found.add(path, str(error), "cron")
    found.one_of(job.schedule.overlap, Overlap, ("schedule", "overlap"))
    found.one_of(job.schedule.catchup, CatchUp, ("schedule", "catchup"))
    if job.wait:
        found.add(("wait",), "has no meaning beside schedule (right would be one of them)", "schedule")
