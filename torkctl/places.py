"""The machines that tasks run on, by what people call them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tork.errors import TorkError
from torkctl import diagnostics
from torkctl.endings import SHORT_ID
from torkctl.errors import NoAnswer

if TYPE_CHECKING:
    from tork.node import Node
    from torkctl.client import Api


def places(api: Api) -> dict[str, str]:
    """The names of the workers that were heard of lately, by their ids; none for those who may not see them."""
    try:
        return names_of(api.nodes())
    except NoAnswer:
        raise
    except TorkError as error:
        diagnostics.detail(f"the nodes can't be read: {error}")
        return {}


def names_of(nodes: Sequence[Node]) -> dict[str, str]:
    """The host of each worker, with the beginning of its id where several run on that host."""
    workers = [node for node in nodes if node.queue]
    on_host = Counter(node.hostname for node in workers)
    return {node.id: _name(node, is_alone=on_host[node.hostname] == 1) for node in workers}


def _name(node: Node, *, is_alone: bool) -> str:
    host = node.hostname or node.name
    return host if host and is_alone else f"{host}/{node.id[:SHORT_ID]}".lstrip("/")
