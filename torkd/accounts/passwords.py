"""Passwords become hashes that are slow to guess, and are compared with them.

One check costs about 25 ms of processor and 19 MiB, so only a few happen at a time.
"""

from __future__ import annotations

import os
import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

LONGEST_PASSWORD_BYTES = 72
"""More is refused by the system whose API this is, and its clients count on that."""
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
AT_ONCE = max(2, min(os.cpu_count() or 2, 8))
_AT_ONCE = threading.BoundedSemaphore(AT_ONCE)


def hash_password(password: str) -> str:
    """What is stored of a password."""
    with _AT_ONCE:
        return _HASHER.hash(password)


def is_password(password: str, password_hash: str) -> bool:
    """Whether it is the one; takes its time also for an account that has none."""
    with _AT_ONCE:
        try:
            return _HASHER.verify(password_hash or _nobodys(), password) and bool(password_hash)
        except (VerificationError, InvalidHashError, UnicodeError):
            return False


@cache
def _nobodys() -> str:
    """The hash of a password that nobody knows."""
    return _HASHER.hash(os.urandom(16).hex())
