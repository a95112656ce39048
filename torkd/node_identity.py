"""Who this process is among the nodes: an id that a restart keeps, and that two processes never share.

Ids are files in the data directory, each locked by the process that uses it. Where nothing can be stored there, the id is
new at each start, which costs nothing but a line in the list of nodes.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_LENGTH = 22
_MOST = 1000
_LOOK_SECONDS = 0.05


class NodeIdentity:
    """An id, ours until `release`."""

    def __init__(self, node_id: str, lock: int | None) -> None:
        self.node_id = node_id
        self._lock = lock

    def release(self) -> None:
        """Let another process have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def new_node_id() -> str:
    """A random id: 22 characters that can't be mistaken for one another."""
    number = uuid.uuid4().int
    digits = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(digits)


def claim_identity(data_directory: Path, role: str, *, patience_seconds: float = 0.0) -> NodeIdentity:
    """The first stored id of this role that no process uses; a new one is stored when all are in use.

    Who is the only one of its role waits so long for the first id: a predecessor whose parent was killed still has it for some
    seconds, and what runs under that id can only be taken up by its next owner.
    """
    directory = data_directory / "nodes"
    deadline = time.monotonic() + patience_seconds
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        while time.monotonic() < deadline:
            identity = _claim(directory / f"{role}-1")
            if identity is not None:
                return identity
            time.sleep(_LOOK_SECONDS)
        for number in range(1, _MOST):
            identity = _claim(directory / f"{role}-{number}")
            if identity is not None:
                return identity
    except OSError as error:
        log.debug("node ids can't be kept in %s: %s", directory, error)
    return NodeIdentity(new_node_id(), None)


@contextmanager
def dead_nodes(data_directory: Path, role: str) -> Iterator[list[str]]:
    """The stored ids of this role that no process uses. None can take them until the block is left."""
    identities = []
    try:
        for path in sorted((data_directory / "nodes").glob(f"{role}-*")):
            identity = _claim(path)
            if identity is not None:
                identities.append(identity)
        yield [identity.node_id for identity in identities]
    finally:
        for identity in identities:
            identity.release()


def _claim(path: Path) -> NodeIdentity | None:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    stored = os.read(lock, 100).decode("ascii", "replace").strip()
    if len(stored) != _LENGTH or not set(stored) <= set(_ALPHABET):
        stored = new_node_id()
        os.ftruncate(lock, 0)
        os.pwrite(lock, stored.encode(), 0)
    return NodeIdentity(stored, lock)
