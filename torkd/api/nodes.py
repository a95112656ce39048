"""`GET /nodes`: the machines that take part."""

from __future__ import annotations

import falcon

from tork.node import Node
from torkd.api.media import answer, plain
from torkd.api.operations import operation
from torkd.datastore.protocol import Reading


class NodesResource:
    """Nodes that were heard of lately, by name."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    @operation("The nodes that were heard of lately, by name", answer=list[Node])
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        answer(req, resp, plain(self._reading.nodes()))
