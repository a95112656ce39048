"""The algorithms: scrypt from words to a key, HKDF from that to a key for each use, AES-256-GCM with it. None of it may change."""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

_SALT = b"torkd datastore.encryption.key 1"
"""The same everywhere: every process must come to the same key, and knows nothing but the words."""
_COST, _BLOCK_SIZE, _PARALLELISM = 2**15, 8, 1
"""32 MB and a fifth of a second for each guess."""


class Cipher:
    """AES-256-GCM with one key."""

    def __init__(self, key: bytes) -> None:
        aead = AESGCM(key)
        self.encrypt = aead.encrypt
        self._decrypt = aead.decrypt

    def decrypt(self, nonce: bytes, sealed: bytes, about: bytes) -> bytes | None:
        """What was encrypted, or None when it was not, like this and with this key."""
        try:
            return self._decrypt(nonce, sealed, about)
        except InvalidTag:
            return None


@lru_cache(maxsize=16)
def master_of(words: str) -> bytes:
    """The key that all others come from."""
    return Scrypt(salt=_SALT, length=32, n=_COST, r=_BLOCK_SIZE, p=_PARALLELISM).derive(words.encode())


def derive(master: bytes, info: bytes, length: int) -> bytes:
    """The key for one use."""
    return HKDFExpand(algorithm=SHA256(), length=length, info=b"torkd " + info).derive(master)
