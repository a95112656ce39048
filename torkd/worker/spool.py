"""What a kept run has printed, on disk before it is on its way: so that a successor goes on exactly where it ended.

Parts are written in groups, each with a mark at its last part: how far every named source had come then. Invariant: a part is
published only after the whole group it belongs to is here. So what follows the last mark was never seen by anybody, and is cut
off: a group whose writing was interrupted counts as never printed, and is read from its source again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec


class SpoolMark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far the log had come."""

    positions: dict[str, int] = {}
    """By source: how many of its bytes are in the log."""
    hidden: dict[str, int] = {}
    """By source: how many of the characters that come next are of a secret in whose place a mark is in the log already."""
    taken: int = 0
    """How many bytes of all sources are."""
    is_cut: bool = False
    """Whether the log ended because it was too long."""


class SpooledPart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the file."""

    number: int
    contents: str
    printed_at: datetime
    mark: SpoolMark | None = None


class Spool:
    """One run's file, open for writing. Belongs to one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError`."""
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def append(self, parts: Sequence[SpooledPart]) -> None:
        """Store a group of parts, whose last has a mark. Raises `OSError`."""
        data = memoryview(b"".join(msgspec.json.encode(part) + b"\n" for part in parts))
        while data:
            data = data[os.write(self._fd, data) :]

    def close(self) -> None:
        """Write no more."""
        os.close(self._fd)


def recover(path: Path) -> tuple[int, SpoolMark]:
    """The number of the last part whose group is complete, and its mark. What follows is cut off. Raises `OSError`."""
    number, mark, end = 0, SpoolMark(), 0
    for part, part_end in _read(path):
        if part.mark is not None:
            number, mark, end = part.number, part.mark, part_end
    if path.exists():
        os.truncate(path, end)
    return number, mark


def spooled_parts(path: Path) -> Iterator[SpooledPart]:
    """All of them in their order, one at a time. Raises `OSError`."""
    return (part for part, _ in _read(path))


def _read(path: Path) -> Iterator[tuple[SpooledPart, int]]:
    """Each part with the offset of its end, up to the first line that is not whole."""
    decoder = msgspec.json.Decoder(SpooledPart)
    end = 0
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                part = decoder.decode(line)
            except msgspec.DecodeError:
                return
            end += len(line)
            yield part, end
