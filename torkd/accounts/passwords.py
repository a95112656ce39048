"""Passwords become hashes that are slow to guess, and are compared with them.

One check costs about 25 ms of processor and 19 MiB, so only a few happen at a time.
"""

from __future__ import annotations

import os
import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST_PASSWORD = 8
"""In characters. It counts when a password is set: shorter ones of before still sign in."""
LONGEST_PASSWORD_BYTES = 72
"""More is refused by the system whose API this is, and its clients count on that."""
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
AT_ONCE = max(2, min(os.cpu_count() or 2, 8))
_AT_ONCE = threading.BoundedSemaphore(AT_ONCE)


def what_is_wrong_with(password: str) -> str:
    """Why it can't be set as a password, and what would be right; empty when it can."""
    if len(password) < SHORTEST_PASSWORD:
        return f"the password is too short (right would be at least {SHORTEST_PASSWORD} characters)"
    if is_too_long(password):
        return f"the password is too long (right would be at most {LONGEST_PASSWORD_BYTES} bytes)"
    return ""


def is_too_long(password: str) -> bool:
    """Whether it has more than can be checked."""
    return len(password.encode("utf-8", "replace")) > LONGEST_PASSWORD_BYTES


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
