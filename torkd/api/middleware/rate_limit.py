"""So many requests a second from one client address: a bucket of tokens each, as large as the rate. Of one process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

import falcon

from torkd.api.auth import address_of
from torkd.api.errors import refusal
from torkd.api.middleware.client_address import bucket_of

_IDLE_SECONDS = 180.0
_MOST = 100_000


class RateLimit:
    """Stands before sign-in, so that guessing is limited too."""

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = float(rate)
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Tokens and when they were counted, the one that was used last at the end."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        if not self._take(bucket_of(address_of(req))):
            raise refusal(429, "rate limit exceeded", {"Retry-After": "1"})

    def _take(self, client: str) -> bool:
        now = self._clock()
        with self._lock:
            tokens, at = self._buckets.get(client, (self._rate, now))
            tokens = min(tokens + (now - at) * self._rate, self._rate)
            allowed = tokens >= 1.0
            self._buckets[client] = (tokens - 1.0 if allowed else tokens, now)
            self._buckets.move_to_end(client)
            self._forget(now)
        return allowed

    def _forget(self, now: float) -> None:
        while self._buckets:
            client, (_, at) = next(iter(self._buckets.items()))
            if now - at < _IDLE_SECONDS and len(self._buckets) <= _MOST:
                return
            del self._buckets[client]
