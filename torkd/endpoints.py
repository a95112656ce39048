"""The port to endpoints: paths of the API that an operator's own code answers.

They pass all that our own requests pass: CORS, limits, who is asking, the request log. What a handler raises is answered as
everywhere else: a `falcon.HTTPError` as it says, a `TorkError` with the status it has elsewhere, anything else with 500 and a
traceback in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tork.job import JobDefinition, JobSummary
from torkd.datastore.protocol import Reading
from torkd.middleware import Caller

if TYPE_CHECKING:
    import falcon

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")

AnyJob = JobDefinition | Mapping[str, Any] | str
"""A job as a value, as a document, or as the text of a job file."""

Wsgi = Callable[..., Iterable[bytes]]


class EndpointContext(Protocol):
    """What a handler may use, for one request."""

    @property
    def version(self) -> str:
        """Of this daemon."""

    @property
    def caller(self) -> Caller:
        """Whoever asks."""

    @property
    def fields(self) -> Mapping[str, str]:
        """The parts of the path that the template names: `{name}`."""

    @property
    def reading(self) -> Reading:
        """Everything that is stored, as it is stored: what of it may be shown to whom is the handler's to decide."""

    def document(self, job_id: str, value: Any) -> Any:
        """Something that belongs to this job, as a document to send: its secrets hidden, shown by middleware."""

    def submit(self, job: AnyJob) -> JobSummary:
        """Accept a job, as the caller's. Raises `DefinitionError`, and `Refused` when middleware refuses it."""

    def cancel(self, job_id: str) -> None:
        """End a job. Raises `NotFound` or `StateConflict`."""

    def restart(self, job_id: str) -> None:
        """Run an ended job again from its current task. Raises `NotFound` or `StateConflict`."""


Handler = Callable[["falcon.Request", "falcon.Response", EndpointContext], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """A method of a path, and who answers it."""

    method: str
    path: str
    """As falcon writes it: `/reports/{name}`."""
    handler: Handler
    admin: bool = False
    """Whether only admins may."""
    group: str | None = None
    """The group of endpoints that switches it off: `coordinator.api.endpoints.<group>`."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"
