"""The port to node middleware."""

from __future__ import annotations

from tork.node import Node


class NodeMiddleware:
    """Sees the machines that take part."""

    def seen(self, node: Node) -> None:
        """After a heartbeat was recorded, in the coordinator that recorded it; as for changes of jobs (`JobMiddleware.changed`)."""
