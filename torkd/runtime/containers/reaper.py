"""Removes what runs left behind that nobody sees to any more: containers, then volumes and networks, found by their labels.

What carries this node's id belongs to us alone, so all of it that no run of ours has is left over. What carries another id is
touched only while we hold that node's lock, which proves that its process is dead, and only when it was dead for a while:
its successor may be about to take its runs up again, and when the coordinators say that its runs are lost. An id that we know no
lock of is a neighbour's, and left alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager

from torkd.runtime.containers.engine import Engine, EngineError, Resource
from torkd.runtime.containers.removal import remove_patiently

NODE_LABEL, RUN_LABEL = "torkd.node", "torkd.run"

DeadNodes = Callable[[], AbstractContextManager[Collection[str]]]
"""The ids of this host's nodes whose process is dead, locked until the context is left."""

_LOG = logging.getLogger(__name__)


class Reaper:
    """Call `reap` now and then."""

    def __init__(
        self,
        engine: Engine,
        node_id: str,
        *,
        owned_runs: Callable[[], Collection[str]],
        dead_nodes: DeadNodes,
        lost_among: Callable[[Collection[str]], Collection[str]],
        forget_node: Callable[[str], None],
        gone_after_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`lost_among` tells of which nodes coordinators say that they hold no lease any more."""
        self._engine, self._node_id = engine, node_id
        self._owned_runs, self._dead_nodes, self._forget_node = owned_runs, dead_nodes, forget_node
        self._lost_among = lost_among
        self._gone_after_seconds = gone_after_seconds
        self._clock = clock
        self._dead_since: dict[str, float] = {}

    def reap(self) -> int:
        """Remove what is left over; how many things. Raises `EngineError` when the engine does not answer."""
        count = self._reap_node(self._node_id, is_ours=True)
        with self._dead_nodes() as dead:
            self._dead_since = {node: self._dead_since.get(node, self._clock()) for node in dead}
            lost = self._lost_among(dead)
            for node, since in self._dead_since.items():
                if node in lost and self._clock() - since >= self._gone_after_seconds:
                    count += self._reap_node(node, is_ours=False)
                    if not self._engine.list_containers([f"{NODE_LABEL}={node}"]):
                        self._forget_node(node)
        return count

    def _reap_node(self, node_id: str, *, is_ours: bool) -> int:
        engine, labels = self._engine, [f"{NODE_LABEL}={node_id}"]
        kinds: list[tuple[str, Callable[[list[str]], list[Resource]], Callable[[str], None]]] = [
            ("container", engine.list_containers, engine.remove_container),
            ("volume", engine.list_volumes, engine.remove_volume),
            ("network", engine.list_networks, engine.remove_network),
        ]
        count = 0
        for kind, list_, remove in kinds:
            # Asked after the list: a run that began in between is not among its names, or is owned.
            found = list_(labels)
            owned = self._owned_runs() if is_ours else ()
            for resource in _left_over(found, owned):
                count += _remove(kind, resource, remove)
        return count


def _left_over(found: Collection[Resource], owned: Collection[str]) -> Iterator[Resource]:
    return (resource for resource in found if resource.labels.get(RUN_LABEL) not in owned)


def _remove(kind: str, resource: Resource, remove: Callable[[str], None]) -> bool:
    if kind == "container":
        try:
            remove(resource.name)
        except EngineError as error:
            _LOG.warning("container %s could not be removed: %s", resource.name, error)
            return False
    elif not remove_patiently(f"{kind} {resource.name}", lambda: remove(resource.name)):
        return False
    _LOG.warning("removed %s %s, left over from run %s", kind, resource.name, resource.labels.get(RUN_LABEL, ""))
    return True
