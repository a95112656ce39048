"""The two long answers of an engine: a container's log, and the news of a pull.

A stream is read by one thread and may be closed by another, which ends the reading at once: the socket is shut down under it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import requests

from torkd.runtime.containers.engine import EngineError, PullEvent
from torkd.runtime.containers.sdk_errors import reason, translated

_READ_SIZE = 256 * 1024
_HEADER_SIZE = 8
_STREAMS = {0: "stdout", 1: "stdout", 2: "stderr"}

Open = Callable[[], requests.Response]


class _Answer:
    """An open HTTP answer that another thread may cut off."""

    def __init__(self, open_: Open, engine: str) -> None:
        self._engine = engine
        self._closed = False
        with translated(engine):
            self._response = open_()

    def pieces(self) -> Iterator[bytes]:
        """What comes, as it comes. Raises `EngineUnavailable` when it breaks off, nothing when it was closed."""
        try:
            with translated(self._engine):
                while piece := self._response.raw.read1(_READ_SIZE):
                    yield piece
        except EngineError:
            if not self._closed:
                raise
        except (ValueError, AttributeError):  # what reading from a closed answer raises, as it happens to be
            if not self._closed:
                raise
        finally:
            self._response.close()

    def close(self) -> None:
        """End it, from whatever thread."""
        self._closed = True
        try:
            _socket_of(self._response).shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):  # it has ended by itself
            pass


class SdkLogStream:
    """A container's log. Docker sends it in frames: a header of 8 bytes with the stream and the length, then the bytes."""

    def __init__(self, open_: Open, engine: str) -> None:
        self._answer = _Answer(open_, engine)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        buffer = b""
        for piece in self._answer.pieces():
            buffer += piece
            start = 0
            while len(buffer) - start >= _HEADER_SIZE:
                end = start + _HEADER_SIZE + int.from_bytes(buffer[start + 4 : start + _HEADER_SIZE], "big")
                if end > len(buffer):
                    break
                yield _STREAMS.get(buffer[start], "stdout"), buffer[start + _HEADER_SIZE : end]
                start = end
            buffer = buffer[start:]

    def close(self) -> None:
        """Read no more."""
        self._answer.close()


class SdkPullStream:
    """The news of a pull: a JSON object a line. An error inside it is the pull's failure: the answer's status is always 200."""

    def __init__(self, open_: Open, engine: str) -> None:
        self._open, self._engine = open_, engine
        self._answer: _Answer | None = None
        self._closed = False

    def __iter__(self) -> Iterator[PullEvent]:
        self._answer = _Answer(self._open, self._engine)
        if self._closed:
            self._answer.close()
        buffer = b""
        for piece in self._answer.pieces():
            *lines, buffer = (buffer + piece).split(b"\n")
            yield from (event for line in lines if line.strip() and (event := _event(line)))
        if buffer.strip() and (event := _event(buffer)):
            yield event

    def close(self) -> None:
        """Give the pull up."""
        self._closed = True
        if self._answer is not None:
            self._answer.close()


def _event(line: bytes) -> PullEvent | None:
    try:
        news: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    if error := news.get("error"):
        raise EngineError(reason(error))
    detail = news.get("progressDetail") or {}
    return PullEvent(
        layer=str(news.get("id") or ""),
        status=str(news.get("status") or ""),
        current=int(detail.get("current") or 0),
        total=int(detail.get("total") or 0),
    )


def _socket_of(response: requests.Response) -> socket.socket:
    """The socket under an answer, by the way that the SDK's own cancellable streams go."""
    reader: Any = getattr(response.raw._fp, "fp", None)
    raw = getattr(reader, "raw", reader)
    found: socket.socket = getattr(raw, "_sock", None) or raw.sock
    return found
