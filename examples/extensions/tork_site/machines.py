"""Node middleware: how often each machine was heard of."""

from __future__ import annotations

from tork.node import Node
from tork_site.tally import Tally
from torkd.middleware import NodeMiddleware


class SeenMachines(NodeMiddleware):
    """Counts heartbeats."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def seen(self, node: Node) -> None:
        self._tally.count(f"heartbeats {node.name}")
