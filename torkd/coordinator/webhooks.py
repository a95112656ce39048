"""Delivers webhooks: claims what is due, sends it in order, and writes what became of it.

One thread claims, and a bounded number of others send: of those only a few to the same server at a time, and to all slow ones
together (`webhook_turns`), so that these keep their own waiting and nobody else. Within a lane the next request goes out when the
one before is done or given up. What is sent is written soon after; what a crash leaves unwritten is sent again, under the same id.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tork.errors import TorkError, Unavailable
from torkd.coordinator.handle import Handled
from torkd.coordinator.webhook_turns import WebhookTurns
from torkd.coordinator.webhook_verdict import OLDEST_SECONDS, Fate, Verdict, judge
from torkd.datastore.webhook_protocol import ClaimedLane, DueDelivery, Settlement, Webhooks
from torkd.hooks.webhook_request import HookRequest
from torkd.hooks.webhook_sender import Answer

log = logging.getLogger(__name__)

THREADS = 16
CHUNK = 20
"""Deliveries of a lane that are read at a time."""
LEASE_SECONDS = 30.0
WORK_SECONDS = 10.0
"""After this no further request of the chunk is begun: with the longest try it is well within the lease."""
SETTLE_SECONDS = 0.5
"""How long what is sent may be unwritten, while more is sent."""
ROUND_SECONDS = 1.0
SHORTEST_PAUSE = 0.02
STOP_SECONDS = 1.0
"""What the tries on their way may take at the end."""
LAST_SECONDS = 3.0
"""And what writing may take after them."""


class Sender(Protocol):
    """Makes one request."""

    def send(self, request: HookRequest, *, delivery_id: str, event: str, now: datetime) -> Answer:
        """Try once."""

    def cut_late(self) -> None:
        """End tries that take too long."""

    def abort(self) -> None:
        """End all tries."""

    def close(self) -> None:
        """Give up what is kept for further ones."""


class WebhookLoop:
    """The webhooks of one coordinator."""

    def __init__(
        self, webhooks: Webhooks, sender: Sender, *, node_id: str, clock: Callable[[], datetime], threads: int = THREADS
    ) -> None:
        self._webhooks, self._sender = webhooks, sender
        self._node_id, self._clock, self._most = node_id, clock, threads
        self._changed = threading.Condition()
        self._is_woken = False
        self._stopping = threading.Event()
        self._turns = WebhookTurns()
        self._thread: threading.Thread | None = None
        self._pool: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Begin to deliver."""
        self._pool = ThreadPoolExecutor(self._most, thread_name_prefix="webhooks")
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._thread.start()

    def committed(self, handled: Handled) -> None:
        """A batch was committed."""
        if handled.view.announced:
            self.wake()

    def wake(self) -> None:
        """Look at once: something was committed that webhooks are told. From any thread."""
        with self._changed:
            self._is_woken = True
            self._changed.notify_all()

    def stop(self, *, drain_seconds: float = 0.0) -> None:
        """End. Before, deliver what waits for at most so long; what is left then is another's, or a later start's."""
        if self._thread is None or self._pool is None:
            return
        self._drain(drain_seconds)
        self._stopping.set()
        self.wake()
        self._wait_for(STOP_SECONDS, lambda: not self._turns.count)
        self._sender.abort()
        self._wait_for(LAST_SECONDS, lambda: not self._turns.count)
        self._thread.join(timeout=LAST_SECONDS)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._sender.close()
        self._thread = self._pool = None

    def _drain(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                due = self._webhooks.seconds_to_next_webhook(())
            except TorkError as error:
                log.warning("%s; webhooks that wait are not told", error)
                return
            # A lane that is being delivered counts as due when its claim ends.
            if not self._turns.count and (due is None or due > left):
                return
            self._wait_for(min(left, 0.1), lambda: False)

    def _wait_for(self, seconds: float, condition: Callable[[], bool]) -> None:
        with self._changed:
            self._changed.wait_for(condition, timeout=seconds)

    def _run(self) -> None:
        released = False
        while not self._stopping.is_set():
            pause = ROUND_SECONDS
            try:
                if not released:
                    self._webhooks.release_webhooks(self._node_id)
                    released = True
                pause = self._round()
            except TorkError as error:
                log.warning("can't look for webhooks to deliver: %s", error)
            except Exception:
                log.exception("webhooks go on after an unexpected error")
            self._sleep(pause)

    def _round(self) -> float:
        """Start what there is room for; how long nothing else will be due."""
        self._sender.cut_late()
        while not self._stopping.is_set():
            with self._changed:
                busy = self._turns.busy()
                if self._turns.count >= self._most:
                    return ROUND_SECONDS
            claimed = self._webhooks.claim_webhooks(self._node_id, lease_seconds=LEASE_SECONDS, limit=CHUNK, busy=busy)
            if claimed is None:
                seconds = self._webhooks.seconds_to_next_webhook(busy)
                return ROUND_SECONDS if seconds is None else min(max(seconds, SHORTEST_PAUSE), ROUND_SECONDS)
            self._begin(claimed)
        return 0.0

    def _begin(self, claimed: ClaimedLane) -> None:
        assert self._pool is not None
        with self._changed:
            self._turns.begin(claimed.target)
        self._pool.submit(self._deliver, claimed)

    def _sleep(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_woken or self._stopping.is_set(), timeout=seconds)
            self._is_woken = False

    def _tried(self, target: str, seconds: float) -> None:
        with self._changed:
            self._turns.tried(target, seconds)

    def _deliver(self, claimed: ClaimedLane) -> None:
        try:
            _Round(self._webhooks, self._sender, claimed, self._clock, self._stopping, self._tried).run()
        except Exception:
            log.exception(
                "a webhook could not be delivered, and is tried again later", extra={"job_id": claimed.job_id}
            )
        finally:
            with self._changed:
                self._turns.end(claimed.target)
                self._is_woken = True
                self._changed.notify_all()


@dataclass(slots=True)
class _Round:
    """The first deliveries of a claimed lane, one after the other."""

    webhooks: Webhooks
    sender: Sender
    claimed: ClaimedLane
    clock: Callable[[], datetime]
    stopping: threading.Event
    tried: Callable[[str, float], None]
    """Told how long each try of a target took."""
    tries: int = 0
    delivered: int = 0
    given_up: int = 0
    done_to: tuple[int, int] | None = None
    tried_at: datetime | None = None
    last: Answer | None = None
    wait_seconds: float = 0.0
    error: str = ""

    def run(self) -> None:
        if not self.claimed.deliveries:
            return
        self.tries = self.claimed.tries
        end = time.monotonic() + WORK_SECONDS
        settled_at = time.monotonic()
        for delivery in self.claimed.deliveries:
            if self.stopping.is_set() or time.monotonic() > end or not self._deliver(delivery):
                break
            if time.monotonic() - settled_at > SETTLE_SECONDS:
                if not self._settle(keep=True):
                    return
                settled_at = time.monotonic()
        self._settle(keep=False)

    def _deliver(self, delivery: DueDelivery) -> bool:
        """Try it; whether the next may follow."""
        verdict = self._try(delivery)
        if verdict is None:
            return False
        if verdict.fate is Fate.AGAIN:
            log.info(
                "webhooks[%d], try %d: %s, trying again in %g s", self.claimed.lane, self.tries, verdict.reason,
                verdict.wait_seconds, extra=self._named(delivery),
            )  # fmt: skip
            self.wait_seconds = verdict.wait_seconds
            return False
        if verdict.fate is Fate.DONE:
            self.delivered += 1
        else:
            self.given_up += 1
            log.warning(
                "webhooks[%d] is not told of %s: %s (after %d tries)", self.claimed.lane, delivery.event, verdict.reason,
                self.tries, extra=self._named(delivery),
            )  # fmt: skip
        self.done_to, self.tries = delivery.place, 0
        return True

    def _try(self, delivery: DueDelivery) -> Verdict | None:
        """What became of it; None when nothing is known of it."""
        if delivery.request is None:
            return self._unsent("what is stored of it can't be read")
        if delivery.age_seconds > OLDEST_SECONDS:
            return self._unsent(f"it has waited for more than {OLDEST_SECONDS / 3600:g} h behind others")
        now, began_at = self.clock(), time.monotonic()
        answer = self.sender.send(delivery.request, delivery_id=delivery.id, event=delivery.event, now=now)
        if answer.was_cut:
            return None
        self.tried(self.claimed.target, time.monotonic() - began_at)
        self.tries += 1
        verdict = judge(answer, self.tries)
        self.tried_at, self.last, self.error = now, answer, verdict.reason
        return verdict

    def _unsent(self, reason: str) -> Verdict:
        self.tried_at, self.last, self.error = self.clock(), None, reason
        return Verdict(Fate.GIVEN_UP, reason)

    def _settle(self, *, keep: bool) -> bool:
        """Write it, trying again while the database is away for a moment; whether the claim still held."""
        settlement = Settlement(
            done_to=self.done_to,
            delivered=self.delivered,
            given_up=self.given_up,
            tries=self.tries,
            tried_at=self.tried_at,
            status=self.last.status if self.last is not None else None,
            error=self.error,
            wait_seconds=LEASE_SECONDS if keep else self.wait_seconds,
            keep=keep,
        )
        deadline = time.monotonic() + WORK_SECONDS
        while True:
            try:
                held = self.webhooks.settle_webhooks(self.claimed, settlement)
            except Unavailable as error:
                log.warning("%s; what became of a webhook is not written yet", error)
                if time.monotonic() > deadline or self.stopping.wait(0.5):
                    return False
            else:
                break
        self.delivered = self.given_up = 0
        return held

    def _named(self, delivery: DueDelivery) -> dict[str, str]:
        return {"job_id": self.claimed.job_id, "delivery_id": delivery.id}
