"""One stream of a task's log: bytes in, masked text out, in whole lines where lines end soon.

What is not shown yet is kept as the bytes it came as: an unfinished line for one or two flushes, so that a prompt appears and the
lines of two streams are rarely torn; and what may be the beginning of a secret, until more comes or the stream ends. That is less
than the longest text that is hidden. Invariant: the log knows at any time how many bytes of the stream are in its text, to the byte,
whatever they are; and whoever begins anew with the byte after them gets the same text.
"""

from __future__ import annotations

import threading
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

    def add(self, text: str, source: str, length: int, *, hidden: int = 0, is_last: bool = False) -> None:
        """Take masked text, made of so many bytes of the source. `hidden` is what was shown of what follows: see `SpoolMark`."""

    def make_room(self) -> None:
        """Send what was taken when it is much; wait while too much could not be sent."""

    def flush_soon(self) -> None:
        """Ask the streams before long whether they have an unfinished line to show."""

    def position_of(self, source: str) -> int:
        """How many bytes of the source are in the log."""

    def hidden_of(self, source: str) -> int:
        """How many of the source's next characters are hidden already."""

    def stream(self, name: str = "") -> StreamLog:
        """One more stream."""

    @property
    def is_left(self) -> bool:
        """Whether a successor goes on with the named streams."""


class StreamLog:
    """Written by one thread at a time, while another may show what is unfinished."""

    __slots__ = ("_hidden", "_is_overdue", "_lock", "_log", "_name", "_rest", "_waits")

    def __init__(self, log: Log, name: str = "") -> None:
        self._log = log
        self._name = name
        self._rest = b""
        self._hidden = log.hidden_of(name)
        """How many characters of the rest, and of what follows it, are of a secret whose mark was shown."""
        self._waits = self._is_overdue = False
        """Whether something of the rest may be shown unfinished; whether it has waited for a flush."""
        self._lock = threading.Lock()

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
        with self._lock:
            self._take(data[:admitted])
            begins_to_wait = self._waits and not self._is_overdue
        if begins_to_wait:
            log.flush_soon()
        if admitted < len(data):
            self.end()
            log.add(END_NOTICE, "", 0, is_last=True)
        log.make_room()

    def stream(self, name: str = "") -> StreamLog:
        """A sink for one more stream of the same run."""
        return self._log.stream(name)

    def show_overdue(self) -> bool:
        """Show an unfinished line that was there at the last flush already. Whether one waits for the next flush."""
        if not self._waits or not self._lock.acquire(blocking=False):
            return self._waits
        try:
            if self._is_overdue and not self._log.is_full:
                self._show(*utf_8_decode(self._rest, "replace", False), raw=self._rest)
                self._waits = False
            self._is_overdue = self._waits
            return self._waits
        finally:
            self._lock.release()

    def leave(self) -> None:
        """Return when nobody shows anything of it; the log is full."""
        with self._lock:
            self._waits = False

    def close(self) -> None:
        """The stream has ended, unless it goes on with a successor: then half a line, or half a secret, is left to it."""
        if not (self._name and self._log.is_left):
            self.end()

    def end(self) -> None:
        """Nothing more comes; what is unfinished is sent."""
        with self._lock:
            rest, self._rest, self._waits = self._rest, b"", False
            if rest:
                text = _printable(rest.decode("utf-8", "replace"))
                self._log.add(self._log.masker.mask(text, self._hidden), self._name, len(rest))
                self._hidden = 0

    def _take(self, data: bytes) -> None:
        raw = self._rest + data if self._rest else data
        end = max(raw.rfind(b"\n"), raw.rfind(b"\r")) + 1
        if len(raw) - end >= MAX_LINE_LENGTH:
            self._show(*utf_8_decode(raw, "replace", False), raw=raw)
        elif end:
            self._show(raw[:end].decode("utf-8", "replace"), end, raw=raw)
        else:
            self._rest = raw
        self._waits = bool(self._rest)
        if end or not self._waits:
            self._is_overdue = False

    def _show(self, text: str, end: int, *, raw: bytes) -> None:
        """Show what can be shown of the text, which is made of the first `end` bytes; the others are kept."""
        shown, kept, self._hidden = self._log.masker.release(_printable(text), self._hidden)
        if kept:
            end = _bytes_of(raw, text, len(text) - len(kept))
        self._rest = raw[end:]
        if end:
            self._log.add(shown, self._name, end, hidden=self._hidden)


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
