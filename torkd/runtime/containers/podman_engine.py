"""Podman: its API loses lines of a log that it follows, so the log is read where Podman's monitor writes it.

A log that lies on another machine is asked for again and again instead, always from its beginning: that loses nothing either.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import requests

from torkd.runtime.containers.engine import EngineError, LogStream, ResourceMissing
from torkd.runtime.containers.sdk_engine import SdkEngine
from torkd.runtime.containers.sdk_errors import reason, translated

_READ_SIZE = 256 * 1024
_LOOK_SECONDS = 0.05
_ASK_SECONDS = 1.0
_LIBPOD = "/v4.0.0/libpod"
_WAIT_INTERVAL = "100ms"
_STREAMS = {b"stdout": "stdout", b"stderr": "stderr"}


class PodmanEngine(SdkEngine):
    """Everything as with Docker, but for the log and the wait."""

    def wait_container(self, container: str) -> int:
        """Block until it has ended.

        By Podman's own API: its imitation of Docker's waits for ever for a container that ended before its start was noted.
        """
        asked = [("condition", "stopped"), ("condition", "exited"), ("interval", _WAIT_INTERVAL)]
        with translated(self._title):
            client = self._connected()
            answer = client.post(f"{client.base_url}{_LIBPOD}/containers/{container}/wait", params=asked, timeout=None)
            if answer.status_code == requests.codes.not_found:
                raise ResourceMissing(reason(answer.content))
            answer.raise_for_status()
        return int(answer.text)

    def follow_log(self, container: str, *, follow: bool = True) -> LogStream:
        """Its log from the beginning."""
        if not follow:
            return super().follow_log(container, follow=False)
        with translated(self._title):
            path = self._connected().inspect_container(container).get("LogPath") or ""
        end = _End(lambda: self.wait_container(container))
        if path and os.access(path, os.R_OK):
            return _FileLog(Path(path), end)
        return _RepeatedLog(lambda: super(PodmanEngine, self).follow_log(container, follow=False), end)


class _End:
    """Knows, from a thread that waits for it, whether the container has ended."""

    def __init__(self, wait: Callable[[], object]) -> None:
        self._wait_for_it = wait
        self._over = threading.Event()
        self._closed = False
        self._error: EngineError | None = None
        threading.Thread(target=self._watch, name="podman-end", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Whether there is nothing more to come, or nobody wants it."""
        return self._over.wait(seconds)

    @property
    def is_wanted(self) -> bool:
        """False after `close`."""
        return not self._closed

    def close(self) -> None:
        """Nobody wants it any more."""
        self._closed = True
        self._over.set()

    def check(self) -> None:
        """Raises the error that the engine was lost with."""
        if self._error is not None and self.is_wanted:
            raise self._error

    def _watch(self) -> None:
        try:
            self._wait_for_it()
        except EngineError as error:
            self._error = error
        self._over.set()


class _FileLog:
    """The file that the monitor appends to: `TIME STREAM F|P TEXT` a line, P for a piece of one that goes on."""

    def __init__(self, path: Path, end: _End) -> None:
        self._file = path.open("rb", buffering=0)
        self._end = end

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        rest = b""
        try:
            for data in self._data():
                *lines, rest = (rest + data).split(b"\n")
                yield from (piece for line in lines if (piece := _parsed(line)) is not None)
        finally:
            self._file.close()
        self._end.check()

    def close(self) -> None:
        """Read no more."""
        self._end.close()

    def _data(self) -> Iterator[bytes]:
        is_over = False
        while self._end.is_wanted:
            if data := self._file.read(_READ_SIZE):
                yield data
            elif is_over:
                return
            else:
                # What was written before the end is read once more after it is known.
                is_over = self._end.wait(_LOOK_SECONDS)


class _RepeatedLog:
    """The log asked for anew until the container has ended; what was seen is passed over."""

    def __init__(self, ask: Callable[[], LogStream], end: _End) -> None:
        self._ask = ask
        self._end = end
        self._seen = {"stdout": 0, "stderr": 0}

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        is_over = False
        while not is_over and self._end.is_wanted:
            is_over = self._end.wait(_ASK_SECONDS)
            passed = dict.fromkeys(self._seen, 0)
            for stream, data in self._ask():
                fresh = data[max(self._seen[stream] - passed[stream], 0) :]
                passed[stream] += len(data)
                if fresh:
                    self._seen[stream] = passed[stream]
                    yield stream, fresh
        self._end.check()

    def close(self) -> None:
        """Ask no more."""
        self._end.close()


def _parsed(line: bytes) -> tuple[str, bytes] | None:
    """None for what the monitor did not write whole, as on a full disk."""
    _, stream, kind, text = (*line.split(b" ", 3), b"", b"", b"")[:4]
    if stream not in _STREAMS or kind not in {b"F", b"P"}:
        return None
    return _STREAMS[stream], text + b"\n" if kind == b"F" else text
