"""From what somebody submits to a definition that may be accepted: read, checked, seen by middleware and checked again."""

from __future__ import annotations

from collections.abc import Mapping

from tork import wire
from tork.definition import read_job, validate_job
from tork.errors import DefinitionError
from tork.job import JobDefinition
from torkd.datastore.account_protocol import Accounts
from torkd.endpoints import AnyJob
from torkd.middleware import Caller, Chain


def definition_of(job: AnyJob) -> JobDefinition:
    """A job to be run at once, checked. Raises `DefinitionError`."""
    if isinstance(job, JobDefinition | Mapping):
        return read_job(wire.encode(job), format="json", schedule="refused")
    return read_job(job, format="yaml", schedule="refused")


def admit(definition: JobDefinition, caller: Caller, submitted: Chain) -> JobDefinition:
    """What middleware makes of a definition that is right. Raises `Refused`, and `DefinitionError` when that is not right any more."""
    return _changed(definition, caller, submitted) if submitted else definition


def _changed(definition: JobDefinition, caller: Caller, submitted: Chain) -> JobDefinition:
    changed = submitted.change(definition, caller, may_refuse=True)
    problems = [f"{problem} (after middleware has changed the job)" for problem in validate_job(changed)]
    if (changed.schedule is None) != (definition.schedule is None):
        problems.append("schedule: middleware can't add or take away a schedule")
    if problems:
        raise DefinitionError(problems)
    return changed


def viewers_of(accounts: Accounts, definition: JobDefinition) -> tuple[str, ...] | None:
    """The ids of those whom the job's permissions name. Refused when one does not exist: nobody could tell who that will be."""
    if not definition.permissions:
        return None
    found = accounts.resolve_permissions(definition.permissions)
    missing = [
        f"permissions[{index}].user: there is no user '{permission.user}'"
        if permission.user
        else f"permissions[{index}].role: there is no role '{permission.role}'"
        for index, (permission, known) in enumerate(zip(definition.permissions, found, strict=True))
        if known is None
    ]
    if missing:
        raise DefinitionError(missing)
    return tuple(dict.fromkeys(known for known in found if known is not None))
