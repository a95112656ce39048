"""Named keys: `torkd_<id>_<secret>`. The id finds the account, the secret is 256 random bits, of which only a digest is stored."""

from __future__ import annotations

import hashlib
import re
import secrets

_KEY = re.compile(r"torkd_([0-9a-f]{32})_[A-Za-z0-9_-]{43}", re.ASCII)


def make_key(key_id: str) -> str:
    """A new key for this account."""
    return f"torkd_{key_id}_{secrets.token_urlsafe(32)}"


def key_id_of(key: str) -> str | None:
    """The account that a text is a key of, if it looks like one."""
    match = _KEY.fullmatch(key)
    return match[1] if match else None


def digest_of(key: str) -> bytes:
    """What is stored of a key. It is random, so nobody can guess it from that."""
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()
