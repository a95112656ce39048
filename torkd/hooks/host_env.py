"""Variables of the worker's own environment that its tasks get too (`middleware.task.hostenv.vars`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from tork.errors import SettingsError
from tork.task import TaskDefinition


@dataclass(frozen=True, slots=True)
class HostVariable:
    """A variable of the worker, and the name under which a task sees it."""

    name: str
    alias: str


def parse_host_variables(specs: Iterable[str]) -> tuple[HostVariable, ...]:
    """Read `NAME` or `NAME:ALIAS`. Raises `SettingsError`."""
    variables = []
    for spec in specs:
        name, _, alias = spec.partition(":")
        if not name or ":" in alias or "=" in spec or spec.endswith(":"):
            raise SettingsError(f"invalid env var spec: {spec} (right would be NAME or NAME:ALIAS)")
        variables.append(HostVariable(name, alias or name))
    return tuple(variables)


def with_host_variables(
    definition: TaskDefinition, variables: Sequence[HostVariable], environ: Mapping[str, str]
) -> TaskDefinition:
    """The task with these variables in the environment of main, pre and post; they win over its own. Unset is empty."""
    if not variables:
        return definition
    host = {variable.alias: environ.get(variable.name, "") for variable in variables}
    return msgspec.structs.replace(
        definition,
        env={**definition.env, **host},
        pre=[msgspec.structs.replace(step, env={**step.env, **host}) for step in definition.pre],
        post=[msgspec.structs.replace(step, env={**step.env, **host}) for step in definition.post],
    )
