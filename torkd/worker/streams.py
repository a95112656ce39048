"""One stream of a task's log: bytes in, whole masked lines out.

What is not shown yet is kept as the bytes it came as. Invariant: the log knows at any time how many bytes of the stream are in
its text, to the byte, whatever they are; and whoever begins anew with the byte after them gets the same text.
"""

from __future__ import annotations

from bisect import bisect_left
from codecs import utf_8_decode
from typing import Protocol

from torkd.worker.masking import Masker

MAX_LINE_LENGTH = 64 * 1024
"""A line of more bytes is sent in pieces."""
END_NOTICE = "[the log ends here: it is longer than worker.logs.max allows]\n"


class Log(Protocol):
    """Where the lines of all streams come together."""

    masker: Masker
    is_full: bool
    """Whether the task's share is used up; what comes now is left out."""

    def admit(self, length: int) -> int:
        """How many of so many bytes are within the task's share. Fewer than asked for: it is used up now."""

    def add(self, text: str, source: str, length: int, *, is_last: bool = False) -> None:
        """Take text that is ready to be shown: whole lines, masked, made of so many bytes of the source."""

    def position_of(self, source: str) -> int:
        """How many bytes of the source are in the log."""

    def stream(self, name: str = "") -> StreamLog:
        """One more stream."""

    @property
    def is_left(self) -> bool:
        """Whether a successor goes on with the named streams."""


class StreamLog:
    """Belongs to one thread at a time."""

    __slots__ = ("_log", "_name", "_rest")

    def __init__(self, log: Log, name: str = "") -> None:
        self._log = log
        self._name = name
        self._rest = b""

    @property
    def position(self) -> int:
        """How many bytes of the named source are in the log."""
        return self._log.position_of(self._name)

    def write(self, data: bytes) -> None:
        """Take bytes as they came."""
        log = self._log
        if log.is_full:
            return
        admitted = log.admit(len(data))
        self._take(data[:admitted])
        if admitted < len(data):
            self.end()
            log.add(END_NOTICE, "", 0, is_last=True)

    def stream(self, name: str = "") -> StreamLog:
        """A sink for one more stream of the same run."""
        return self._log.stream(name)

    def close(self) -> None:
        """The stream has ended, unless it goes on with a successor: then half a line, or half a secret, is left to it."""
        if not (self._name and self._log.is_left):
            self.end()

    def end(self) -> None:
        """Nothing more comes; an unfinished line is sent."""
        rest, self._rest = self._rest, b""
        if rest:
            text = _printable(rest.decode("utf-8", "replace"))
            self._log.add(self._log.masker.mask(text), self._name, len(rest))

    def _take(self, data: bytes) -> None:
        raw = self._rest + data if self._rest else data
        end = max(raw.rfind(b"\n"), raw.rfind(b"\r")) + 1
        is_torn = len(raw) - end >= MAX_LINE_LENGTH
        if is_torn:
            text, end = utf_8_decode(raw, "replace", False)
        elif end:
            text = raw[:end].decode("utf-8", "replace")
        else:
            self._rest = raw
            return
        masker = self._log.masker
        if is_torn or masker.spans_lines:
            shown, kept = masker.release(_printable(text))
            if kept:
                end = _bytes_of(raw, text, len(text) - len(kept))
        else:
            shown = masker.mask(_printable(text))
        self._rest = raw[end:]
        if shown:
            self._log.add(shown, self._name, end)


def _printable(text: str) -> str:
    return text.replace("\0", "\ufffd")


def _bytes_of(raw: bytes, text: str, length: int) -> int:
    """Of how many of the bytes the first `length` characters of their text were made."""
    beginning = text[:length]
    if "\ufffd" not in beginning:
        return len(beginning.encode())
    # One mark may stand for several broken bytes: look where the text has that length.
    size = bisect_left(range(len(raw)), length, key=lambda size: _decoded(raw[:size])[0])
    characters, used = _decoded(raw[:size])
    return used if characters == length else size - 1


def _decoded(raw: bytes) -> tuple[int, int]:
    text, used = utf_8_decode(raw, "replace", False)
    return len(text), used
