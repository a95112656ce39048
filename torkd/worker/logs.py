"""What tasks print, on its way to the coordinators: in numbered parts, by time and by size, secrets masked.

One thread flushes the logs of all runs, and a run that prints nothing costs nothing. Invariants: parts of a run are
published in the order of their numbers, without gaps; a line is never torn by another stream; nothing is dropped but what
exceeds the task's share; of a run that is kept, nothing is published before it is in the spool. When parts can't be published,
`write` waits: the task slows down.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from tork.errors import BrokerUnavailable
from torkd.broker.messages import LogPrinted, RunTask
from torkd.middleware import Chain
from torkd.runtime.stopping import StopReason, StopSignal
from torkd.worker.flushing import LogFlusher
from torkd.worker.masking import Masker
from torkd.worker.spool import Spool, SpooledPart, SpoolMark
from torkd.worker.streams import StreamLog

PART_LENGTH = 64 * 1024
"""A part is published when it has this many characters."""
MAX_WAITING_LENGTH = 1024 * 1024
"""How many characters may wait for a broker that is away."""
_LOOK_AGAIN_SECONDS = 0.1

_LOG = logging.getLogger(__name__)


class RunLog:
    """The log of one run: the sink a runtime writes to, and the stream of its own writes."""

    __slots__ = (
        "_accepted",
        "_flusher",
        "_hidden",
        "_is_cut",
        "_max_bytes",
        "_message",
        "_now",
        "_on_spool_failure",
        "_own",
        "_positions",
        "_printed",
        "_publish",
        "_publishing",
        "_ready",
        "_run_id",
        "_spool",
        "_state",
        "_stop",
        "_streams",
        "_taken",
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
        printed: Chain | None = None,
    ) -> None:
        """`printed` is what an operator registered to see, and to change, what is printed."""
        self._printed = printed or None
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
        self._taken = 0
        """How many bytes are in the text; of named sources, each one's in `_positions`."""
        self._positions: dict[str, int] = {}
        self._hidden: dict[str, int] = {}
        self._is_cut = False
        """Whether the text says that the rest is left out: a successor must not say so again."""
        self._spool: Spool | None = None
        self._on_spool_failure: Callable[[], None] = _nothing

    def keep(self, spool: Spool, on_failure: Callable[[], None]) -> None:
        """Store every part before it is published. `on_failure` is called once if that fails: the log goes on without."""
        with self._publishing:
            self._spool, self._on_spool_failure = spool, on_failure
            if self.part_count:  # whoever reads the spool has to know where its numbers begin
                self._store([self._part(self.part_count, "")], self._mark())

    def resume(self, number: int, mark: SpoolMark) -> None:
        """Go on behind the parts of a predecessor, of which this was the last. To be called before anything is written."""
        self.part_count, self._positions, self._hidden = number, dict(mark.positions), dict(mark.hidden)
        self._accepted = self._taken = mark.taken
        self.is_full = self._is_cut = mark.is_cut

    def write(self, data: bytes) -> None:
        """Take what the run printed, as one stream."""
        if self._own is None:
            self._own = StreamLog(self)
        self._own.write(data)

    def stream(self, name: str = "") -> StreamLog:
        """A sink for one more stream."""
        stream = StreamLog(self, name)
        self._streams.append(stream)
        return stream

    @property
    def position(self) -> int:
        """Its own stream has no name."""
        return 0

    def position_of(self, source: str) -> int:
        """How many bytes of a named source are in the log."""
        return self._positions.get(source, 0)

    def hidden_of(self, source: str) -> int:
        """How many of the characters that come next are of a secret in whose place a mark is in the log already."""
        return self._hidden.get(source, 0)

    @property
    def is_left(self) -> bool:
        """Whether a successor goes on with the named streams."""
        return self._stop.reason is StopReason.LEFT and self._spool is not None

    def hide(self, text: str) -> str:
        """A text that may quote the log, without what the log does not show."""
        masked = self.masker.mask(text)
        return self._printed.change(masked) if masked and self._printed is not None else masked

    def close(self) -> None:
        """Every stream has ended; unfinished lines are sent."""
        for stream in self._all_streams():
            stream.close()

    def seal(self) -> None:
        """The run is over: all it printed becomes parts, and is stored if the run is kept."""
        for stream in self._all_streams():
            stream.end()
        with self._publishing:
            self._make_parts()

    def finish(self) -> list[LogPrinted]:
        """Seal it; the parts that still have to be published, before the report. `part_count` is final then."""
        self.seal()
        return self._take_ready()

    def leave(self) -> list[LogPrinted]:
        """The parts that still have to be published. Unfinished lines, and what comes now, are left to the successor."""
        self.is_full = True
        for stream in self._all_streams():
            stream.leave()
        return self._take_ready()

    def flush(self) -> bool:
        """Publish what there is, and unfinished lines that have waited. False when that must be done again."""
        waiting = [stream for stream in self._all_streams() if stream.show_overdue()]
        return self._publish_parts() and not waiting

    def flush_soon(self) -> None:
        """Let the flusher come by."""
        self._flusher.add(self)

    def _publish_parts(self) -> bool:
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

    def add(self, text: str, source: str, length: int, *, hidden: int = 0, is_last: bool = False) -> None:
        """Take masked text, made of so many bytes of the source. `hidden` is what was shown of what follows: see `SpoolMark`."""
        with self._state:
            is_first = not self._texts
            self._texts.append(text)
            self._waiting_length += len(text)
            self._taken += length
            self._is_cut = self._is_cut or is_last
            if source:
                self._positions[source] = self._positions.get(source, 0) + length
                self._hidden[source] = hidden
        if is_first:
            self._flusher.add(self)

    def make_room(self) -> None:
        """Send what was taken when it is much; wait while too much could not be sent."""
        if self._waiting_length < PART_LENGTH:
            return
        published = self._publish_parts()
        while not published and self._waiting_length > MAX_WAITING_LENGTH and not self._stop.is_set():
            self._stop.wait(_LOOK_AGAIN_SECONDS)
            published = self._publish_parts()

    def _take_ready(self) -> list[LogPrinted]:
        with self._publishing:
            self._make_parts()
            remaining, self._ready = self._ready, []
            spool, self._spool = self._spool, None
        if spool is not None:
            spool.close()
        if remaining:
            self._flusher.discard(self)
        return remaining

    def _all_streams(self) -> tuple[StreamLog, ...]:
        return (*self._streams, *([self._own] if self._own else []))

    def _make_parts(self) -> None:
        with self._state:
            text, self._texts = "".join(self._texts), []
            mark = self._mark() if text and self._spool is not None else None
        if text and self._printed is not None:
            text = self._changed(self._printed, text)
        parts: list[LogPrinted] = []
        for start in range(0, len(text), PART_LENGTH):
            self.part_count += 1
            parts.append(self._part(self.part_count, text[start : start + PART_LENGTH]))
        if mark is not None and parts:  # what middleware leaves nothing of is printed again for a successor
            self._store(parts, mark)
        self._ready += parts

    def _changed(self, printed: Chain, text: str) -> str:
        changed = printed.change(text)
        with self._state:
            self._waiting_length += len(changed) - len(text)
        return changed

    def _part(self, number: int, contents: str) -> LogPrinted:
        return LogPrinted(
            task_id=self._message.task_id,
            job_id=self._message.job_id,
            run_id=self._run_id,
            dispatch=self._message.dispatch,
            number=number,
            contents=contents,
            printed_at=self._now(),
        )

    def _mark(self) -> SpoolMark:
        return SpoolMark(
            positions=dict(self._positions),
            hidden={source: count for source, count in self._hidden.items() if count},
            taken=self._taken,
            is_cut=self._is_cut,
        )

    def _store(self, parts: Sequence[LogPrinted], mark: SpoolMark) -> None:
        spool = self._spool
        assert spool is not None
        last = parts[-1].number
        group = [
            SpooledPart(
                number=part.number,
                contents=part.contents,
                printed_at=part.printed_at,
                mark=mark if part.number == last else None,
            )
            for part in parts
        ]
        try:
            spool.append(group)
        except OSError as error:
            _LOG.warning(
                "the log of a run can't be kept, so it will not outlive this worker: %s",
                error.strerror,
                extra={"run_id": self._run_id},
            )
            self._spool = None
            spool.close()
            self._on_spool_failure()


def _nothing() -> None:
    pass
