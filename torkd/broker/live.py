"""Tells live changes to whoever subscribed, from one thread, so that a slow listener never holds up a publisher."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from torkd.broker.messages import LiveChanges

_LOG = logging.getLogger(__name__)

MAX_WAITING = 10_000
"""When listeners are this far behind they are told to read everything again."""

Listener = Callable[[LiveChanges | None], None]


class LocalSubscription:
    """One listener. The lock is held during each call, so that `close` waits for a call under way."""

    def __init__(self, listener: Listener, forget: Callable[[LocalSubscription], None]) -> None:
        self._listener = listener
        self._forget = forget
        self._calling = threading.RLock()
        self._closed = False

    def tell(self, changes: LiveChanges | None) -> None:
        """Call the listener; its failure is logged and hurts nobody else."""
        with self._calling:
            if self._closed:
                return
            try:
                self._listener(changes)
            except Exception:  # noqa: BLE001 -- the thread must survive any listener
                _LOG.exception("a listener to live changes failed")

    def close(self) -> None:
        """No more calls after this returns. A listener may close its own subscription."""
        with self._calling:
            self._closed = True
        self._forget(self)


class LiveDispatcher:
    """The subscriptions, and the thread that serves them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._something_to_do = threading.Condition(self._lock)
        self._subscriptions: list[LocalSubscription] = []
        self._waiting: deque[LiveChanges | None] = deque()
        self._closed = False
        self._thread: threading.Thread | None = None

    def subscribe(self, listener: Listener) -> LocalSubscription:
        """Add a listener."""
        subscription = LocalSubscription(listener, self._forget)
        with self._lock:
            self._subscriptions.append(subscription)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._serve, name="broker-live", daemon=True)
                self._thread.start()
        return subscription

    def publish(self, changes: LiveChanges | None) -> None:
        """Tell everybody soon; None: some were missed. Costs next to nothing when nobody listens."""
        if not self._subscriptions:
            return
        with self._lock:
            if len(self._waiting) >= MAX_WAITING:
                self._waiting.clear()
                self._waiting.append(None)
            self._waiting.append(changes)
            self._something_to_do.notify()

    def close(self) -> None:
        """Stop the thread; what waits is dropped."""
        with self._lock:
            self._closed = True
            self._something_to_do.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _serve(self) -> None:
        while True:
            with self._lock:
                while not self._waiting and not self._closed:
                    self._something_to_do.wait()
                if self._closed:
                    return
                changes = self._waiting.popleft()
                subscriptions = list(self._subscriptions)
            for subscription in subscriptions:
                subscription.tell(changes)

    def _forget(self, subscription: LocalSubscription) -> None:
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
