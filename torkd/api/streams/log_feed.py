"""The log of a job or of a task, from a place on, until its last part."""

from __future__ import annotations

import time
from collections.abc import Callable

from torkd.api.showing import Showing
from torkd.api.streams import sse
from torkd.api.streams.feed import Told
from torkd.datastore.protocol import LogState, Reading

_PARTS_AT_ONCE = 50
"""They may be large: whoever follows sees the first before the last is read."""
MISSING_PARTS_SECONDS = 25.0
"""How long an ended task's announced parts are waited for, from the last one that came: longer than RabbitMQ takes to notice that
the coordinator that was storing them hangs."""


class LogFeed:
    """`log` events and, when all announced parts were told, `end`.

    The id of an event is `<run>:<part>`. An id that is not stored (any more) means starting over, after a `reset`.
    """

    content_type = sse.CONTENT_TYPE
    heartbeat = sse.HEARTBEAT

    def __init__(
        self,
        reading: Reading,
        showing: Showing,
        *,
        job_id: str,
        task_id: str = "",
        after: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reading = reading
        self._showing = showing
        self._job_id = job_id
        self._task_id = task_id
        self._owner = {"task_id": task_id} if task_id else {"job_id": job_id}
        self._after = after
        self._seq: int | None = None
        self._secrets: list[str] = []
        self._clock = clock
        self._missing_since: float | None = None

    @property
    def job_id(self) -> str:
        return self._job_id

    def read(self) -> Told:
        data: list[bytes] = []
        if self._seq is None:
            self._secrets = list(self._reading.secrets_of(self._job_id).values())
            self._seq = self._place()
            data += [sse.RESET] if self._after and not self._seq else [sse.comment("following")]
        # The state is read before the parts: what it announced as stored is then among them.
        state = self._reading.log_state(**self._owner)
        positions = self._reading.log_after(**self._owner, seq=self._seq, limit=_PARTS_AT_ONCE)
        for position in positions:
            part = position.part
            document = self._showing.with_secrets(part, self._secrets)
            data.append(sse.event("log", document, f"{part.run}:{part.number}"))
            self._seq = position.seq
            self._missing_since = None
        if len(positions) == _PARTS_AT_ONCE:
            return Told(data=b"".join(data), again_in=0, is_worth_it=True)
        return self._at_the_end(state, data, has_news=bool(positions))

    def job_touched(self, job_id: str, version: int) -> bool:
        return True

    def log_touched(self, task_id: str) -> bool:
        return not self._task_id or task_id == self._task_id

    def missed(self) -> None:
        """The next reading goes on from its place anyway."""

    def farewell(self) -> Told:
        return Told(ended=True)

    def _place(self) -> int:
        run_id, _, number = self._after.rpartition(":")
        if not run_id or not number.isascii() or not number.isdigit() or len(number) > 9:
            return 0
        return self._reading.log_place(run_id, int(number), **self._owner)

    def _at_the_end(self, state: LogState, data: list[bytes], *, has_news: bool) -> Told:
        if not state.ended:
            self._missing_since = None
            return Told(data=b"".join(data), is_worth_it=has_news)
        if not state.complete:
            self._missing_since = self._missing_since or self._clock()
            left = self._missing_since + MISSING_PARTS_SECONDS - self._clock()
            if left > 0:
                return Told(data=b"".join(data), again_in=left)
            data.append(sse.comment("a part of this log is missing"))
        document = {"state": state.state} if state.complete else {"state": state.state, "incomplete": True}
        data.append(sse.event("end", document))
        return Told(data=b"".join(data), ended=True)
