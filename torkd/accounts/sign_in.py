"""From a user's password or a key to a caller.

Checking a password is slow on purpose, so what was found right is remembered for a minute, by a digest that only this process
can make. So long an account may be used after another process has changed it. Whoever has to wait is not told either that a guess
is among what is remembered: else the owner's own requests were what makes guessing quick.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

from tork.account import Role
from torkd.accounts.caller import Caller
from torkd.accounts.keys import digest_of, key_id_of
from torkd.accounts.names import LONGEST_NAME
from torkd.accounts.passwords import AT_ONCE, is_password
from torkd.accounts.throttle import Throttle
from torkd.datastore.account_protocol import Act, Credentials

REMEMBERED_SECONDS = 60.0
_MOST = 10_000
SIGN_IN_FAILED = "sign-in.failed"


class Accounts(Protocol):
    """What signing in needs of the accounts."""

    def credentials(self, *, username: str = "", user_id: str = "") -> Credentials | None:
        """Of an account that exists, disabled or not."""

    def note_key_use(self, key_id: str) -> None:
        """The key was used just now."""

    def write_down(self, acts: list[Act]) -> None:
        """Add to the log of who did what."""


class TooManyTries(Exception):
    """Wait before the next try."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many failed sign-ins: try again in {max(round(seconds), 1)} s")
        self.seconds = max(round(seconds), 1)


class SignIn:
    """Checks credentials. Any thread may."""

    def __init__(
        self,
        accounts: Accounts,
        *,
        configured_key: str = "",
        throttle: Throttle | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._accounts = accounts
        self._configured = digest_of(configured_key) if configured_key else b""
        self._throttle = throttle or Throttle()
        self._clock = clock
        self._secret = os.urandom(32)
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        """Guesses that come together are counted one after the other: else all of them were free tries."""
        self._generation = 0
        """Grows with every change of accounts: what was read before it is not remembered after it."""

    def by_password(self, username: str, password: str, address: str) -> Caller | None:
        """The user with this password; None for anybody else. Raises `TooManyTries`."""
        account, generation = username[:LONGEST_NAME], self._generation
        self._raise_if_blocked(account, address)
        proof = self._proof("password", address, username, password)
        if (known := self._remembered(proof)) is not None:
            return known
        found = self._accounts.credentials(username=username)
        with self._turns:
            self._raise_if_blocked(account, address)
            right = is_password(password, found.password_hash if found else "")
            if found is None or not right or found.user.disabled:
                self._throttle.failed(account, address)
                found = None
        if found is None:
            self._write_down(account, address)
            return None
        self._throttle.succeeded(account, address)
        return self._succeeded(proof, found, generation)

    def by_key(self, key: str, address: str) -> Caller | None:
        """Whoever has this key; None for anybody else. Raises `TooManyTries`.

        A named key is too long to be guessed, so a right one never waits. That of the configuration is what somebody chose.
        """
        digest, proof, generation = digest_of(key), self._proof("key", key), self._generation
        if (known := self._remembered(proof)) is not None:
            return known
        key_id = key_id_of(key)
        found = self._accounts.credentials(user_id=key_id) if key_id else None
        if found is not None and not found.user.disabled and hmac.compare_digest(digest, found.key_digest):
            self._accounts.note_key_use(found.user.id)
            return self._succeeded(proof, found, generation)
        self._raise_if_blocked("", address)
        if hmac.compare_digest(digest, self._configured):
            self._throttle.succeeded("", address)
            return Caller(has_all_rights=True)
        self._throttle.failed("", address)
        self._write_down("", address)
        return None

    def is_still(self, caller: Caller) -> bool:
        """Whether the account is as it was when the caller signed in: not disabled, with the same roles."""
        if caller.user is None:
            return True
        found = self._accounts.credentials(user_id=caller.user_id)
        return found is not None and not found.user.disabled and _ids(found.roles) == _ids(caller.roles)

    def forget(self) -> None:
        """Accounts have changed: everybody is checked anew."""
        with self._lock:
            self._generation += 1
            self._known.clear()

    def _proof(self, *parts: str) -> bytes:
        text = "\0".join(parts).encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, text, hashlib.sha256).digest()

    def _remembered(self, proof: bytes) -> Caller | None:
        with self._lock:
            known = self._known.get(proof)
            if known is None:
                return None
            caller, until = known
            if self._clock() >= until:
                del self._known[proof]
                return None
            return caller

    def _raise_if_blocked(self, account: str, address: str) -> None:
        if (seconds := self._throttle.wait_seconds(account, address)) > 0:
            raise TooManyTries(seconds)

    def _write_down(self, account: str, address: str) -> None:
        self._accounts.write_down([Act(username=account, action=SIGN_IN_FAILED, address=address)])

    def _succeeded(self, proof: bytes, found: Credentials, generation: int) -> Caller:
        caller = Caller(user_id=found.user.id, username=found.user.username, roles=found.roles, user=found.user)
        with self._lock:
            if generation == self._generation:
                self._known[proof] = (caller, self._clock() + REMEMBERED_SECONDS)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
        return caller


def _ids(roles: Sequence[Role]) -> list[str]:
    """A role that is called something else is still the same."""
    return [role.id for role in roles]
