"""`GET /metrics`: the figures of the whole."""

from __future__ import annotations

import falcon

from tork.node import Metrics
from torkd.api.media import answer, plain
from torkd.api.operations import operation
from torkd.datastore.protocol import Reading


class MetricsResource:
    """What runs now."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    @operation("What runs now", answer=Metrics)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        answer(req, resp, plain(self._reading.metrics()))
