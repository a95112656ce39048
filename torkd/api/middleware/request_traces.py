"""A span for every request; of a stream, for the time it took to begin.

That of a submission belongs to the trace of its job, below the job's own span. Where the client brings a trace, it belongs to
that, and is linked to the job.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime

import falcon

from torkd.api.middleware.request_figures import UNMATCHED
from torkd.clock import utc_now
from torkd.tracing.protocol import Tracing
from torkd.tracing.span import Place, Span, place_of, read_traceparent

_NOT_TRACED = frozenset({"/health", "/metrics"})
"""What machines ask for every few seconds."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_LEAST_FAILURE = 500


class RequestTraces:
    """Outside of what refuses: that is traced too."""

    def __init__(self, tracing: Tracing, now: Callable[[], datetime] = utc_now) -> None:
        self._tracing = tracing
        self._now = now

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.trace_began_at = self._now()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        route = req.uri_template or UNMATCHED
        if route in _NOT_TRACED:
            return
        method = req.method if req.method in _METHODS else "_OTHER"
        job_id: str | None = req.context.get("submitted_job_id")
        job = None if job_id is None else place_of(job_id, job_id)
        parent = read_traceparent(req.get_header("traceparent") or "")
        links: tuple[Place, ...] = ()
        if job is not None:
            parent, links = (job, ()) if parent is None else (parent, (job,))
        trace_id = secrets.token_hex(16) if parent is None else parent.trace_id
        self._tracing.add(
            Span(
                # The route, never the path: what is written there may be anything.
                name=f"{method} {route}",
                place=Place(trace_id, secrets.token_hex(8)),
                parent=parent,
                links=links,
                began_at=req.context.trace_began_at,
                ended_at=self._now(),
                attributes={
                    "http.request.method": method,
                    "http.route": route,
                    "http.response.status_code": resp.status_code,
                    **({} if job_id is None else {"tork.job.id": job_id}),
                },
                error="" if resp.status_code >= _LEAST_FAILURE else None,
                answers_request=True,
            )
        )
