"""An endpoint: what has happened in this coordinator."""

from __future__ import annotations

import falcon

from tork_site.tally import Tally
from torkd.endpoints import EndpointContext


class Report:
    """A handler may be any callable."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def __call__(self, req: falcon.Request, resp: falcon.Response, context: EndpointContext) -> None:
        resp.media = {
            "version": context.version,
            "by": context.caller.username,
            "nodes": [node.name for node in context.reading.nodes()],
            "counts": self._tally.counts(),
        }
