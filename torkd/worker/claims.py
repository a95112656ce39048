"""Claims that wait a moment: a run that has ended by then needs none, since its report counts as its claim.

A short task so costs the coordinators one event instead of two, and its job one flush to the disk. One thread sends the
claims of all slots, those that are due together.
"""

from __future__ import annotations

import logging
import threading
import time

from tork.errors import BrokerUnavailable
from torkd.broker.messages import RunClaimed
from torkd.broker.protocol import Broker

_LOG = logging.getLogger(__name__)


class Claims:
    """Those of first deliveries; a redelivered task asks at once, for it must wait for the answer."""

    def __init__(self, broker: Broker, delay_seconds: float) -> None:
        self._broker = broker
        self._delay_seconds = delay_seconds
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._waiting: dict[str, tuple[float, RunClaimed]] = {}
        """By run, the oldest first: when it is due, and the claim."""
        self._idle = False
        """Whether the thread sleeps until it is told of a claim."""
        self._was_added = False
        """Since the thread last looked."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="worker-claims", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End. What is not sent yet is left to heartbeats and reports."""
        self._closing.set()
        with self._lock:
            self._work.notify()
        if self._thread.is_alive():
            self._thread.join()

    def add(self, claim: RunClaimed) -> None:
        """Send it soon, unless its run ends first."""
        due_at = time.monotonic() + self._delay_seconds
        with self._lock:
            self._waiting[claim.run_id] = (due_at, claim)
            self._was_added = True
            if self._idle:
                self._idle = False
                self._work.notify()

    def hurry(self, run_id: str) -> None:
        """Send it now, if it was not sent yet: something follows that counts only for a run with a claim."""
        with self._lock:
            waiting = self._waiting.pop(run_id, None)
        if waiting is not None:
            self._send([waiting[1]])

    def drop(self, run_id: str) -> None:
        """Its run has ended, and the report says all that the claim would."""
        with self._lock:
            self._waiting.pop(run_id, None)

    def _serve(self) -> None:
        """While claims come, it looks by the clock: being woken for each would cost more, for most are dropped."""
        while not self._closing.is_set():
            due, pause = self._take_due()
            if due:
                self._send(due)
            if pause is not None:
                self._closing.wait(pause)
                continue
            with self._lock:
                self._idle = not self._was_added
                self._work.wait_for(lambda: not self._idle or self._closing.is_set())

    def _take_due(self) -> tuple[list[RunClaimed], float | None]:
        """What is to be sent now, and when to look again; None when nothing was added for a while."""
        now = time.monotonic()
        with self._lock:
            due = [claim for due_at, claim in self._waiting.values() if due_at <= now]
            for claim in due:
                del self._waiting[claim.run_id]
            first = next(iter(self._waiting.values()), None)
            was_added, self._was_added = self._was_added, False
        if first is not None:
            return due, max(first[0] - now, 0.0)
        return due, self._delay_seconds if was_added else None

    def _send(self, claims: list[RunClaimed]) -> None:
        try:
            self._broker.publish_events(claims)
        except BrokerUnavailable:
            _LOG.warning("claims could not be sent", extra={"run_ids": [claim.run_id for claim in claims]})
        except Exception:  # noqa: BLE001 -- the thread must survive any broker
            _LOG.exception("claims could not be sent")
