"""Keys from the operator's words, and what is sealed with them.

What is sealed says which key that was, so that a key can be replaced: the new one seals, older ones still open. Invariants: what
was sealed for one purpose, or about one thing, can't be opened as another; the words can't be told from anything that is sealed
but by trying them, at the price of one derivation each.

A sealed value is `version, key id, salt, nonce, ciphertext with tag`. Every sealer draws a salt of its own, from which its AES key
is derived: so many values can be sealed with the same words that random nonces alone would repeat one day.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torkd.sealing.ciphers import Cipher

VERSION = b"\x01"
KEY_ID_BYTES, SALT_BYTES, NONCE_BYTES, TAG_BYTES = 4, 12, 12, 16
_HEAD = len(VERSION) + KEY_ID_BYTES
_START = _HEAD + SALT_BYTES + NONCE_BYTES

_SEALS_WITH_ONE_SALT = 2**24
"""Far below the 2**32 values at which random nonces of 12 bytes stop being safe."""


class KeyMissing(Exception):
    """It is sealed with a key that is not here. The text says so, and what to do."""


class Damaged(Exception):
    """It was not sealed like this with any key of ours: somebody has changed it."""


class KeyRing:
    """The key that seals, if there is one, and all keys that open."""

    def __init__(self, words: str | None = None, older: Sequence[str] = ()) -> None:
        """`words` seal from now on; what was sealed with `older` ones can still be opened."""
        self._keys: dict[bytes, bytes] = {}
        for text in (*([words] if words else []), *older):
            # Here, as below: who has no key does not pay for cryptography.
            from torkd.sealing.ciphers import derive, master_of

            master = master_of(text)
            self._keys.setdefault(derive(master, b"key id", KEY_ID_BYTES), master)
        self._sealing = next(iter(self._keys)) if words else None

    @property
    def is_sealing(self) -> bool:
        """Whether there is a key to seal with."""
        return self._sealing is not None

    @property
    def key_id(self) -> str:
        """Of the key that seals; empty without one."""
        return self._sealing.hex() if self._sealing else ""

    @property
    def older_count(self) -> int:
        """How many keys only open."""
        return len(self._keys) - self.is_sealing

    def raise_if_missing(self, key_id: str) -> None:
        """Raises `KeyMissing` unless what was sealed with that key can be opened. An empty id is that of no key."""
        if key_id and bytes.fromhex(key_id) not in self._keys:
            raise KeyMissing(_missing(key_id, bool(self._keys)))

    def sealer(self, purpose: str) -> Sealer:
        """What seals for one purpose."""
        return Sealer(self._keys, self._sealing, purpose.encode())


class Sealer:
    """Seals and opens for one purpose. From any thread."""

    def __init__(self, keys: dict[bytes, bytes], sealing: bytes | None, purpose: bytes) -> None:
        self._keys, self._sealing, self._purpose = keys, sealing, purpose
        self._cipher = lru_cache(maxsize=1024)(self._make_cipher)
        self._salt = os.urandom(SALT_BYTES)
        self._left = _SEALS_WITH_ONE_SALT

    @property
    def is_sealing(self) -> bool:
        """Whether there is a key to seal with."""
        return self._sealing is not None

    def is_current(self, sealed: bytes) -> bool:
        """Whether it was sealed with the key that seals now."""
        return self._sealing is not None and sealed.startswith(VERSION + self._sealing)

    def seal(self, data: bytes, about: bytes = b"") -> bytes:
        """The sealed value; `about` has to be given again to open it."""
        assert self._sealing is not None
        self._left -= 1
        if self._left <= 0:
            self._salt, self._left = os.urandom(SALT_BYTES), _SEALS_WITH_ONE_SALT
        salt, nonce = self._salt, os.urandom(NONCE_BYTES)
        sealed = self._cipher(self._sealing, salt).encrypt(nonce, data, about)
        return b"".join((VERSION, self._sealing, salt, nonce, sealed))

    def open(self, sealed: bytes, about: bytes = b"") -> bytes:
        """What was sealed. Raises `KeyMissing` and `Damaged`."""
        if len(sealed) < _START + TAG_BYTES or sealed[:1] != VERSION:
            raise Damaged("it is sealed in a way that is not known here")
        key_id = sealed[1:_HEAD]
        if key_id not in self._keys:
            raise KeyMissing(_missing(key_id.hex(), bool(self._keys)))
        salt, nonce = sealed[_HEAD : _HEAD + SALT_BYTES], sealed[_HEAD + SALT_BYTES : _START]
        data = self._cipher(key_id, salt).decrypt(nonce, sealed[_START:], about)
        if data is None:
            raise Damaged(f"it was changed after it was sealed with the key {key_id.hex()}")
        return data

    def _make_cipher(self, key_id: bytes, salt: bytes) -> Cipher:
        from torkd.sealing.ciphers import Cipher, derive

        return Cipher(derive(self._keys[key_id], b"%b %b" % (self._purpose, salt), 32))


def _missing(key_id: str, has_others: bool) -> str:
    problem = "that is none of this process's" if has_others else "and this process has none"
    return (
        f"sealed with the encryption key {key_id}, {problem} (right would be the same datastore.encryption.key in every "
        "process, and those of before in datastore.encryption.older_keys)"
    )
