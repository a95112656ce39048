"""Refuses bodies that say they are too large. Those that don't say are cut off where they are read (`media.read_body`)."""

from __future__ import annotations

import falcon

from torkd.api.errors import refusal


class BodyLimit:
    """A limit in bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        if (req.content_length or 0) > self._limit:
            raise refusal(413, "Request Entity Too Large")
