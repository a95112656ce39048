"""`GET /metrics`: the figures of the whole."""

from __future__ import annotations

import falcon

from torkd.api.media import answer, plain
from torkd.datastore.protocol import Reading


class MetricsResource:
    """What runs now."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        answer(req, resp, plain(self._reading.metrics()))
