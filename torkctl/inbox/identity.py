"""What makes two submissions the same: the content, whatever its name; with --rerun also which writing of which file it is.

Every watcher of a folder comes to the same key, on every machine and after every restart: nothing in it is made up.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

_PREFIX = "watch-"


@dataclass(frozen=True, kw_only=True)
class Writing:
    """One time that a file was written: its name, and when it was changed last."""

    name: str
    mtime_ns: int


def key_of(content: bytes, writing: Writing | None = None) -> str:
    """The idempotency key. Without a `writing` the same content is always the same submission."""
    digest = hashlib.sha256(content)
    if writing is not None:
        digest = hashlib.sha256(
            digest.digest() + writing.mtime_ns.to_bytes(16, signed=True) + os.fsencode(writing.name)
        )
    return _PREFIX + digest.hexdigest()
