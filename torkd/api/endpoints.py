"""Endpoints that operators registered, beside our own: none may stand in the way of one of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import Any

import falcon

from tork.errors import StartError
from tork.job import JobSummary
from torkd.api.admission import definition_of
from torkd.api.application import App
from torkd.api.auth import caller_of
from torkd.api.commands import Commands
from torkd.api.errors import refusal
from torkd.api.permissions import ADMINS_ONLY, Access
from torkd.api.showing import Showing
from torkd.api.submission import Submission
from torkd.datastore.protocol import Reading
from torkd.endpoints import AnyJob, Endpoint, EndpointContext
from torkd.middleware import Caller

MakeContext = Callable[[falcon.Request, Mapping[str, str]], EndpointContext]


class RequestContext:
    """What a handler may use, for one request."""

    __slots__ = ("_commands", "_req", "_showing", "_submission", "caller", "fields", "reading", "version")

    def __init__(
        self,
        req: falcon.Request,
        fields: Mapping[str, str],
        *,
        version: str,
        reading: Reading,
        commands: Commands,
        showing: Showing,
        submission: Submission,
    ) -> None:
        self.caller: Caller = caller_of(req)
        self.fields, self.version, self.reading = fields, version, reading
        self._req, self._commands, self._showing, self._submission = req, commands, showing, submission

    def document(self, job_id: str, value: Any) -> Any:
        return self._showing.of_job(job_id, value)

    def submit(self, job: AnyJob) -> JobSummary:
        _, accepted = self._submission.accept(self._req, definition_of(job), None)
        return self.reading.get_summary(accepted.job_id)

    def cancel(self, job_id: str) -> None:
        self._commands.cancel(job_id)

    def restart(self, job_id: str) -> None:
        self._commands.restart(job_id)


def add_endpoints(
    app: App,
    endpoints: Iterable[Endpoint],
    *,
    make_context: MakeContext,
    groups: frozenset[str],
    known_groups: Iterable[str],
) -> None:
    """Add those whose group is on. Raises `StartError` for one that can't be."""
    ours = [route.path for route in app.routes]
    wanted: list[Endpoint] = []
    for endpoint in endpoints:
        if endpoint.group is not None and endpoint.group not in known_groups:
            raise StartError(
                f"the endpoint {endpoint} is in no known group: '{endpoint.group}' (right would be one of {', '.join(known_groups)})"
            )
        if taken := next((path for path in ours if may_be_same(endpoint.path, path)), None):
            raise StartError(f"the endpoint {endpoint} can't be added: {taken} is torkd's own path")
        if endpoint.group is None or endpoint.group in groups:
            wanted.append(endpoint)
    wanted.sort(key=lambda endpoint: endpoint.path)
    for path, of_path in groupby(wanted, key=lambda endpoint: endpoint.path):
        try:
            app.add_route(path, _Resource(of_path, make_context))
        except (ValueError, TypeError) as error:
            raise StartError(f"the endpoint at {path} can't be added: {error}") from error


def may_be_same(one: str, other: str) -> bool:
    """Whether some path fits both templates."""
    ours, theirs = one.strip("/").split("/"), other.strip("/").split("/")
    for mine, yours in zip(ours, theirs, strict=False):
        if ":path}" in mine or ":path}" in yours:
            return True
        if mine != yours and "{" not in mine and "{" not in yours:
            return False
    return len(ours) == len(theirs)


class _Resource:
    """One path, in the shape that falcon looks for: a method `on_get` and so on."""

    access = Access.SIGNED_IN

    def __init__(self, endpoints: Iterable[Endpoint], make_context: MakeContext) -> None:
        for endpoint in endpoints:
            setattr(self, f"on_{endpoint.method.lower()}", _responder(endpoint, make_context))


def _responder(endpoint: Endpoint, make_context: MakeContext) -> Callable[..., None]:
    def respond(req: falcon.Request, resp: falcon.Response, **fields: Any) -> None:
        if endpoint.admin and not caller_of(req).is_admin:
            raise refusal(403, ADMINS_ONLY)
        endpoint.handler(req, resp, make_context(req, fields))

    return respond
