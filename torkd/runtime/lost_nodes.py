"""What coordinators say of nodes of this host whose process is dead: whether their runs are lost, and so what is left of them.

Whoever holds leftovers asks; heartbeats carry the question until an answer comes, and again, for an answer soon says nothing any
more: the node may have been alive in between.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable


class LostNodes:
    """Safe to use from several threads."""

    def __init__(self, valid_seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """An answer is good for so many seconds: a lease, within which a node that comes back would be heard of."""
        self._valid_seconds = valid_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: tuple[str, ...] = ()
        self._told: dict[str, float] = {}

    def among(self, dead: Collection[str]) -> set[str]:
        """Those of these that are lost as far as we were told. From now on it is asked about them, and about no others."""
        now = self._clock()
        with self._lock:
            self._asked = tuple(dead)
            self._told = {
                node: at for node, at in self._told.items() if node in dead and now - at < self._valid_seconds
            }
            return set(self._told)

    @property
    def asked(self) -> list[str]:
        """The nodes that it is asked about."""
        return list(self._asked)

    def tell(self, node_ids: Iterable[str]) -> None:
        """These hold no lease any more."""
        now = self._clock()
        with self._lock:
            self._told.update((node, now) for node in node_ids if node in self._asked)
