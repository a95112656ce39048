"""Guessing is slowed: after some failures each further try has to wait, twice as long every time.

Failures are counted for the account and for the address, and forgotten after a while of quiet. At an address where an account was
signed in to lately only the failures of the two together count: else anybody could lock its owner out. The memory is bounded,
and of one process.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE_TRIES = 5
_LONGEST_ACCOUNT_SECONDS, _LONGEST_ADDRESS_SECONDS = 60.0, 900.0
_FORGET_SECONDS = 3600.0
_TRUSTED_SECONDS = 24 * 3600.0
_MOST = 20_000


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last_at: float = 0.0
    blocked_until: float = 0.0


class Throttle:
    """Asked before credentials are looked at, told what came of it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()
        self._trusted: OrderedDict[tuple[str, str], float] = OrderedDict()

    def wait_seconds(self, account: str, address: str) -> float:
        """How long to wait before the next try; 0 for none."""
        now = self._clock()
        with self._lock:
            waits = [
                failures.blocked_until - now
                for kind, _, name in self._counted(account, address, now)
                if (failures := self._failures.get((kind, name))) is not None
            ]
        return max([0.0, *waits])

    def failed(self, account: str, address: str) -> None:
        """It was not them."""
        now = self._clock()
        with self._lock:
            for kind, longest, name in self._counted(account, address, now):
                failures = self._failures.setdefault((kind, name), _Failures())
                if now - failures.last_at > _FORGET_SECONDS:
                    failures.count = 0
                failures.count += 1
                failures.last_at = now
                over = failures.count - FREE_TRIES
                if over >= 0:
                    failures.blocked_until = now + min(2.0 ** min(over, 20), longest)
                self._failures.move_to_end((kind, name))
            while len(self._failures) > _MOST:
                self._failures.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        """It was them: what failed before is forgotten."""
        now = self._clock()
        with self._lock:
            self._failures.pop(("account", account), None)
            self._failures.pop(("both", f"{account}@{address}"), None)
            self._trusted[account, address] = now
            self._trusted.move_to_end((account, address))
            while len(self._trusted) > _MOST:
                self._trusted.popitem(last=False)

    def _counted(self, account: str, address: str, now: float) -> list[tuple[str, float, str]]:
        trusted_at = self._trusted.get((account, address))
        if trusted_at is not None and now - trusted_at <= _TRUSTED_SECONDS:
            return [("both", _LONGEST_ACCOUNT_SECONDS, f"{account}@{address}")]
        counted = [("address", _LONGEST_ADDRESS_SECONDS, address)]
        if account:
            counted.append(("account", _LONGEST_ACCOUNT_SECONDS, account))
        return counted
