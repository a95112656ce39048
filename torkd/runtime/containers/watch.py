"""Watching one container: its log into the task's, to the last byte, and how it ended.

The end is known only when the log is drained. An engine that goes away for a moment is waited for: the log is then read again
from its beginning and what was seen already is passed over, so nothing is lost or repeated.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from torkd.runtime.containers.engine import (
    ContainerState,
    Engine,
    EngineError,
    EngineUnavailable,
    LogStream,
    ResourceBusy,
    ResourceMissing,
    Standing,
)
from torkd.runtime.process import CUT_SIZE, TAIL_SIZE
from torkd.runtime.protocol import LogSink

_LOOK_SECONDS = 0.25
_BRIEF_SECONDS = 0.25
"""How long the log of a container may be waited for that is perhaps done by then."""
_STUMBLES = 3
"""How often an engine is asked again that got into its own way."""
KILLED = 137
"""The exit code of a process that was ended by KILL."""
_LONG_LOG = 512 * 1024 * 1024
"""From so many bytes on a log is not read twice for a few words at its end that may be missing."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a container ended."""

    code: int
    ran_out_of_memory: bool = False
    was_interrupted: bool = False
    """Whether the engine was away meanwhile: then the code may be the engine's doing."""


class Watch:
    """A thread that reads a started container's log until it has ended. `sink` makes the sink of a stream."""

    def __init__(
        self,
        engine: Engine,
        container: str,
        sink: Callable[[str], LogSink],
        *,
        patience_seconds: float,
        may_miss_the_end: bool = False,
        has_stumbled: Callable[[EngineError], bool] = lambda _: False,
    ) -> None:
        self._engine, self._container = engine, container
        self._has_stumbled = has_stumbled
        """Whether the same may work a moment later."""
        self._may_miss_the_end = may_miss_the_end
        """Whether the engine may end a followed log before the container's last words."""
        self._sinks = {stream: sink(stream) for stream in ("stdout", "stderr")}
        self._taken = {stream: sink.position for stream, sink in self._sinks.items()}
        """How much of each stream the log has."""
        self._remembered = dict.fromkeys(self._sinks, 0)
        """How much of each stream went through the tail: less, where a worker of before has logged it."""
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self._tail = bytearray()
        self._is_cut = False
        self._stream: LogStream | None = None
        self._abandoned = False
        self._was_interrupted = False
        self._over = threading.Event()
        self.ending: Ending | None = None
        """Once it is over, unless the engine was lost."""
        self.error: EngineError | None = None
        """Why nothing is known of its end."""
        self._thread = threading.Thread(target=self._watch, name="container-watch", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether its end, or the loss of the engine, is known."""
        return self._over.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is over; False after so many seconds."""
        return self._over.wait(seconds)

    def call_at_end(self, callback: Callable[[], None]) -> None:
        """Call it, from another thread, once it is over; at once if it is."""
        with self._lock:
            if not self.is_over:
                self._callbacks.append(callback)
                return
        callback()

    def abandon(self) -> None:
        """Read no more, whatever the container does."""
        self._abandoned = True
        if self._stream is not None:
            self._stream.close()

    @property
    def tail(self) -> bytes:
        """The end of what it printed, both streams as they came."""
        if not self._is_cut:
            return bytes(self._tail)
        # The first line is torn, and a torn secret could not be hidden.
        _, newline, rest = bytes(self._tail[-TAIL_SIZE:]).partition(b"\n")
        return rest if newline else bytes(self._tail[-TAIL_SIZE:])[CUT_SIZE:]

    def _watch(self) -> None:
        try:
            self._see_to_the_end()
        except EngineError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 -- somebody waits for the end, whatever becomes of the log
            _LOG.exception("the log of container %s could not be taken", self._container)
            self.error = EngineError(f"the log could not be taken: {error}")
        finally:
            self._close_sinks()
            self._tell_that_it_is_over()

    def _close_sinks(self) -> None:
        for name, sink in self._sinks.items():
            try:
                sink.close()
            except Exception:  # noqa: BLE001 -- somebody waits for the end, whatever becomes of the log
                _LOG.exception("the %s of container %s could not be closed", name, self._container)

    def _tell_that_it_is_over(self) -> None:
        with self._lock:
            self._over.set()
        for callback in self._callbacks:
            callback()

    def _see_to_the_end(self) -> None:
        stumbles_left = _STUMBLES
        while not self._is_abandoned():
            try:
                code = self._end_soon()
                if self._is_abandoned():
                    return
                if code is None:
                    self._read_log()
                    if self._is_abandoned():
                        return
                    code = self._await_end()
                is_killed = code == KILLED
                state = self._engine.inspect_container(self._container) if is_killed else None
                self.ending = Ending(
                    code=code,
                    ran_out_of_memory=state is not None and state.ran_out_of_memory,
                    was_interrupted=self._was_interrupted,
                )
                return
            except EngineUnavailable as error:
                self._was_interrupted = True
                self._await_engine(error)
            except EngineError as error:
                if not stumbles_left or not self._has_stumbled(error):
                    raise
                stumbles_left -= 1
                time.sleep(_LOOK_SECONDS)

    def _is_abandoned(self) -> bool:
        return self._abandoned

    def _end_soon(self) -> int | None:
        """The exit code of one that is done at once: its log is read only once, and need not be followed."""
        if not self._may_miss_the_end:
            return None
        code = self._engine.wait_briefly(self._container, _BRIEF_SECONDS)
        if code is not None:
            with suppress(ResourceMissing, ResourceBusy):  # somebody else removed it, and its log, or is about to
                self._read_log(follow=False)
        return code

    def _await_end(self) -> int:
        """The exit code. A log that ended before the container may have is read once more."""
        ended_at = time.monotonic()
        code = self._engine.wait_container(self._container)
        is_short = sum(self._remembered.values()) < _LONG_LOG
        if (self._may_miss_the_end and is_short) or time.monotonic() - ended_at > _LOOK_SECONDS:
            with suppress(ResourceMissing, ResourceBusy):  # somebody else removed it, and its log, or is about to
                self._read_log()
        return code

    def _read_log(self, *, follow: bool = True) -> None:
        self._stream = stream = self._engine.follow_log(self._container, follow=follow)
        if self._abandoned:  # perhaps before there was a stream to close
            stream.close()
        seen = dict.fromkeys(self._taken, 0)
        try:
            for name, data in stream:
                start = seen[name]
                seen[name] += len(data)
                self._remember(name, _beyond(self._remembered[name], start, data))
                self._take(name, _beyond(self._taken[name], start, data))
        finally:
            stream.close()

    def _remember(self, name: str, data: bytes) -> None:
        self._remembered[name] += len(data)
        self._tail += data
        if len(self._tail) > 4 * TAIL_SIZE:
            del self._tail[:-TAIL_SIZE]
            self._is_cut = True

    def _take(self, name: str, data: bytes) -> None:
        if data:
            self._taken[name] += len(data)
            self._sinks[name].write(data)

    def _await_engine(self, error: EngineUnavailable) -> None:
        """Wait until the engine can say what became of the container."""
        deadline = time.monotonic() + self._patience_seconds
        while not self._is_abandoned():
            # Also before the first look: an engine may answer, and yet cut off every log.
            time.sleep(_LOOK_SECONDS)
            try:
                state: ContainerState = self._engine.inspect_container(self._container)
            except EngineUnavailable:
                if time.monotonic() > deadline:
                    raise error from None
            else:
                if state.standing is Standing.CREATED:
                    raise error
                return


def _beyond(known: int, start: int, data: bytes) -> bytes:
    """The part of a piece, which begins at `start`, that lies behind the first `known` bytes of its stream."""
    return data[max(known - start, 0) :]
