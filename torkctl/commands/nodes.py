"""`torkctl nodes`: the machines that take part."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from torkctl.arguments import Interval, Watch
from torkctl.nouns import noun
from torkctl.session import Session
from torkctl.settings import OutputFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tork.node import Node
    from torkctl.client import Api
    from torkctl.output.listing import Listing
    from torkctl.output.tables import Table


def app() -> typer.Typer:
    """The verb of nodes."""
    return noun("nodes", "", {"list": list_nodes})


def list_nodes(ctx: typer.Context, watch: Watch = False, interval: Interval = None) -> int:
    """Show the nodes that take part, and how they are.

    Health, role, CPU, running tasks, age of the last heartbeat, version.

    Example: torkctl nodes --watch
    """
    from torkctl.refreshing import show

    return show(Session.of(ctx), _look, watch=watch, interval=interval)


def _look(api: Api) -> Listing:
    from tork.node import Node
    from torkctl.client.api import read
    from torkctl.client.resources import array
    from torkctl.output.listing import Listing

    raw = array(api, "nodes")
    nodes = [read(item, Node) for item in raw]
    return Listing(
        document=raw,
        items=raw,
        names=[node.id for node in nodes],
        table=lambda output: nodes_table(nodes, output),
        kind="nodes",
    )


def nodes_table(nodes: Sequence[Node], output: OutputFormat) -> Table:
    """A row a node."""
    from torkctl.output.tables import Table
    from torkctl.output.times import age, moment

    now = datetime.now(UTC)
    columns = ["name", "status", "role", "cpu", "tasks", "heartbeat", "version"]
    rows = [
        [
            node.name or node.id,
            node.status.value if node.status else "",
            _role(node),
            f"{node.cpu_percent:.0f}%",
            str(node.task_count) if node.queue else "",
            f"{age(node.last_heartbeat_at, now)} ago",
            node.version,
        ]
        for node in nodes
    ]
    if output is OutputFormat.WIDE:
        columns += ["id", "hostname", "port", "queue", "started"]
        rows = [
            [*row, node.id, node.hostname, str(node.port or ""), node.queue, moment(node.started_at)]
            for row, node in zip(rows, nodes, strict=True)
        ]
    return Table(columns=columns, rows=rows, shortened="name", dropped=("version", "cpu"))


def _role(node: Node) -> str:
    """Only workers have a queue of their own."""
    return "worker" if node.queue else "coordinator"
