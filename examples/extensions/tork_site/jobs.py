"""Job middleware: who may submit what, and what is known of jobs here."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tork.errors import Refused
from tork.job import JobDefinition, JobSummary
from tork_site.tally import Tally
from torkd.middleware import Caller, JobMiddleware


class SiteJobs(JobMiddleware):
    """Names that begin with `forbidden-` are refused; every job is tagged, counted and marked."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def submitted(self, definition: JobDefinition, caller: Caller) -> JobDefinition:
        if definition.name.startswith("forbidden-"):
            raise Refused(f"{caller.username} may not submit {definition.name}: such names are not for jobs here")
        return replace(definition, tags=[*definition.tags, f"by-{caller.username}"])

    def changed(self, job: JobSummary) -> None:
        self._tally.count(f"jobs {job.state.value}")

    def shown(self, document: dict[str, Any]) -> dict[str, Any]:
        return document | {"site": "example"}
