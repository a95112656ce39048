"""Tells coordinators how runs ended, and remembers each report until its commit is acknowledged.

Invariant: a report is among the unacknowledged from before its run leaves the running ones until a coordinator says that it
is dealt with. So heartbeats repeat it however often brokers and coordinators fail.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tork.errors import BrokerUnavailable
from torkd.broker.messages import LogPrinted, RunEnded
from torkd.broker.protocol import Broker

REPEAT_AFTER_SECONDS = 1.0
"""Younger reports are on their way, most likely."""
MAX_REPEATED = 100
"""How many reports one heartbeat repeats; the others wait for the next."""
MAX_REPEATED_LENGTH = 4_000_000
_FIRST_RETRY_SECONDS = 0.1
_MAX_RETRY_SECONDS = 5.0

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Sent:
    report: RunEnded
    at: float


class Reporter:
    """Sends reports, for as long as it takes."""

    def __init__(self, broker: Broker, on_dealt_with: Callable[[str], None] = lambda _: None) -> None:
        """`on_dealt_with` is called with each run whose report nobody needs any more."""
        self._broker = broker
        self._on_dealt_with = on_dealt_with
        self._lock = threading.Lock()
        self._unacknowledged: dict[str, _Sent] = {}
        self._abandoned = threading.Event()

    def send(self, log_parts: Sequence[LogPrinted], report: RunEnded) -> bool:
        """Publish the rest of the log, then the report. Tries until it works, or all is abandoned: then False."""
        with self._lock:
            self._unacknowledged[report.run_id] = _Sent(report, time.monotonic())
        wait = _FIRST_RETRY_SECONDS
        while True:
            try:
                self._broker.publish_events([*log_parts, report])
            except BrokerUnavailable as error:
                _LOG.warning("a report waits for the broker: %s", error, extra={"run_id": report.run_id})
            else:
                return True
            if self._abandoned.wait(wait):
                return False
            wait = min(wait * 2, _MAX_RETRY_SECONDS)

    def forget(self, run_ids: Iterable[str]) -> None:
        """These reports are dealt with, or nobody wants them."""
        with self._lock:
            known = [run_id for run_id in run_ids if self._unacknowledged.pop(run_id, None) is not None]
        for run_id in known:
            self._on_dealt_with(run_id)

    def to_repeat(self) -> list[RunEnded]:
        """The reports that a heartbeat has to repeat, those first that were silent for longest."""
        now = time.monotonic()
        with self._lock:
            due = sorted(
                (sent for sent in self._unacknowledged.values() if now - sent.at >= REPEAT_AFTER_SECONDS),
                key=lambda sent: sent.at,
            )
            repeated: list[RunEnded] = []
            length = 0
            for sent in due[:MAX_REPEATED]:
                length += len(sent.report.result) + len(sent.report.error)
                if repeated and length > MAX_REPEATED_LENGTH:
                    break
                sent.at = now
                repeated.append(sent.report)
            return repeated

    @property
    def unacknowledged_count(self) -> int:
        """How many reports nobody has acknowledged yet."""
        return len(self._unacknowledged)

    def abandon(self) -> None:
        """Give up what could not be sent: the process ends, and the lease tells the coordinators."""
        self._abandoned.set()
