"""What tasks print, on its way to the coordinators: in numbered parts, by time and by size, secrets masked.

One thread flushes the logs of all runs, and a run that prints nothing costs nothing. Invariants: parts of a run are
published in the order of their numbers, without gaps; a line is never torn by another stream; nothing is dropped but what
exceeds the task's share. When parts can't be published, `write` waits: the task slows down.
"""

from __future__ import annotations

import codecs
import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from tork.errors import BrokerUnavailable
from torkd.broker.messages import LogPrinted, RunTask
from torkd.runtime.stopping import StopSignal
from torkd.worker.flushing import LogFlusher
from torkd.worker.masking import Masker

PART_LENGTH = 64 * 1024
"""A part is published when it has this many characters."""
MAX_LINE_LENGTH = 64 * 1024
"""A longer line is sent in pieces."""
MAX_WAITING_LENGTH = 1024 * 1024
"""How many characters may wait for a broker that is away."""
_LOOK_AGAIN_SECONDS = 0.1


class RunLog:
    """The log of one run: the sink a runtime writes to, and the stream of its own writes."""

    __slots__ = (
        "_accepted",
        "_flusher",
        "_max_bytes",
        "_message",
        "_now",
        "_own",
        "_publish",
        "_publishing",
        "_ready",
        "_run_id",
        "_state",
        "_stop",
        "_streams",
        "_texts",
        "_waiting_length",
        "is_full",
        "masker",
        "part_count",
    )

    def __init__(
        self,
        message: RunTask,
        run_id: str,
        *,
        publish: Callable[[Sequence[LogPrinted]], None],
        flusher: LogFlusher,
        stop: StopSignal,
        now: Callable[[], datetime],
        max_bytes: int,
    ) -> None:
        self.masker = Masker(message.mask)
        self.part_count = 0
        """How many parts were made; the last one's number."""
        self._message, self._run_id = message, run_id
        self._publish, self._flusher, self._stop, self._now = publish, flusher, stop, now
        self._max_bytes, self._accepted = max_bytes, 0
        self.is_full = False
        """Whether the task's share is used up; what comes now is left out."""
        self._state = threading.Lock()
        """Guards the texts and counts; never held while something is published."""
        self._publishing = threading.Lock()
        """Held while parts are made and published, which keeps them in order."""
        self._texts: list[str] = []
        self._waiting_length = 0
        self._ready: list[LogPrinted] = []
        """Parts that were made and could not be published yet."""
        self._own: StreamLog | None = None
        self._streams: list[StreamLog] = []

    def write(self, data: bytes) -> None:
        """Take what the run printed, as one stream."""
        if self._own is None:
            self._own = StreamLog(self)
        self._own.write(data)

    @property
    def position(self) -> int:
        """Its own stream has no name."""
        return 0

    def stream(self, name: str = "") -> StreamLog:  # noqa: ARG002 -- names matter to runs that are resumed
        """A sink for one more stream."""
        stream = StreamLog(self)
        self._streams.append(stream)
        return stream

    def close(self) -> None:
        """Every stream has ended; unfinished lines are sent."""
        for stream in (*self._streams, *([self._own] if self._own else [])):
            stream.close()

    def finish(self) -> list[LogPrinted]:
        """Close it; the parts that still have to be published, before the report. `part_count` is final then."""
        self.close()
        with self._publishing:
            self._make_parts()
            remaining, self._ready = self._ready, []
        if remaining:
            self._flusher.discard(self)
        return remaining

    def flush(self) -> bool:
        """Publish what there is. False when that must be tried again."""
        with self._publishing:
            self._make_parts()
            if not self._ready:
                return True
            try:
                self._publish(self._ready)
            except BrokerUnavailable:
                return False
            with self._state:
                self._waiting_length -= sum(len(part.contents) for part in self._ready)
            self._ready = []
            return True

    def admit(self, length: int) -> int:
        """How many of so many bytes are within the task's share. Fewer than asked for: it is used up now."""
        with self._state:
            admitted = min(length, self._max_bytes - self._accepted)
            self._accepted += admitted
            self.is_full = self.is_full or admitted < length
            return admitted

    def add(self, text: str) -> None:
        """Take text that is ready to be shown: whole lines, masked."""
        with self._state:
            is_first = not self._texts
            self._texts.append(text)
            self._waiting_length += len(text)
            waiting_length = self._waiting_length
        if is_first:
            self._flusher.add(self)
        if waiting_length >= PART_LENGTH:
            self._flush_or_wait()

    def _flush_or_wait(self) -> None:
        published = self.flush()
        while not published and self._waiting_length > MAX_WAITING_LENGTH and not self._stop.is_set():
            self._stop.wait(_LOOK_AGAIN_SECONDS)
            published = self.flush()

    def _make_parts(self) -> None:
        with self._state:
            text, self._texts = "".join(self._texts), []
        for start in range(0, len(text), PART_LENGTH):
            self.part_count += 1
            self._ready.append(
                LogPrinted(
                    task_id=self._message.task_id,
                    job_id=self._message.job_id,
                    run_id=self._run_id,
                    dispatch=self._message.dispatch,
                    number=self.part_count,
                    contents=text[start : start + PART_LENGTH],
                    printed_at=self._now(),
                )
            )


class StreamLog:
    """One stream of a run: bytes in, whole masked lines out. Belongs to one thread at a time."""

    __slots__ = ("_decoder", "_log", "_masker", "_unfinished")

    def __init__(self, log: RunLog) -> None:
        self._log = log
        self._masker = log.masker
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._unfinished = ""

    def write(self, data: bytes) -> None:
        """Take bytes as they came."""
        if self._log.is_full:
            return
        admitted = self._log.admit(len(data))
        self._take(self._decoder.decode(data[:admitted]))
        if admitted < len(data):
            self.close()
            self._log.add("[the log ends here: it is longer than worker.logs.max allows]\n")

    @property
    def position(self) -> int:
        """Nothing is resumed."""
        return 0

    def stream(self, name: str = "") -> StreamLog:
        """A sink for one more stream of the same run."""
        return self._log.stream(name)

    def close(self) -> None:
        """The stream has ended."""
        rest = self._unfinished + _printable(self._decoder.decode(b"", final=True))
        self._unfinished = ""
        if rest:
            self._log.add(self._masker.mask(rest))

    def _take(self, text: str) -> None:
        text = self._unfinished + _printable(text)
        end = max(text.rfind("\n"), text.rfind("\r")) + 1
        torn = len(text) - end >= MAX_LINE_LENGTH
        if torn:
            end = len(text)
        ready, self._unfinished = text[:end], text[end:]
        if torn or self._masker.spans_lines:
            ready, kept = self._masker.release(ready)
            self._unfinished = kept + self._unfinished
        else:
            ready = self._masker.mask(ready)
        if ready:
            self._log.add(ready)


def _printable(text: str) -> str:
    return text.replace("\0", "\ufffd")
