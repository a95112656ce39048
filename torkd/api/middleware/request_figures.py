"""Counts every request, and how long its answer took; of a stream, how long it took to begin."""

from __future__ import annotations

import time

import falcon

from torkd.api.figures import Figures

UNMATCHED = "unmatched"
"""The route of a path that there is not: whoever asks for thousands of them makes one figure."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestFigures:
    """The outermost layer: what the others refuse counts too."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.began_at = time.perf_counter()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        self._figures.request_served(
            method=req.method if req.method in _METHODS else "other",
            route=req.uri_template or UNMATCHED,
            status=resp.status_code,
            seconds=time.perf_counter() - req.context.began_at,
        )
