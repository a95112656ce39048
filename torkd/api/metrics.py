"""`GET /metrics`: the figures of the whole as JSON, or all figures as Prometheus reads them, by `Accept`."""

from __future__ import annotations

import falcon
from falcon import mediatypes

from tork.node import Metrics
from torkd.api.figures import Figures
from torkd.api.media import JSON, answer, plain
from torkd.api.operations import operation
from torkd.datastore.protocol import Reading

_KINDS = (JSON, "application/openmetrics-text", "text/plain")
"""Whoever likes two the same gets the first: clients that take anything expect the API's JSON."""


class MetricsResource:
    """What runs now, and what has happened."""

    def __init__(self, reading: Reading, figures: Figures | None) -> None:
        self._reading = reading
        self._figures = figures

    @operation("What runs now; as text all figures, as Prometheus reads them", answer=Metrics, texts=_KINDS[1:])
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        accept = req.get_header("Accept") or "*/*"
        if self._figures is None or _prefers_json(accept):
            answer(req, resp, plain(self._reading.metrics()))
            return
        resp.data, resp.content_type = self._figures.exposition(accept)


def _prefers_json(accept: str) -> bool:
    try:
        return mediatypes.best_match(_KINDS, accept) in {JSON, ""}
    except ValueError:
        return True
