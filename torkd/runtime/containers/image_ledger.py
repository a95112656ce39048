"""The memory of which images torkd pulled itself, when they were last used, and who has shown to be allowed to use them.

It is a small JSON file, so that it survives restarts, and several processes of one host may share it: each change is made
under a file lock to what the file says then, and replaces it as a whole. A file that can't be read or written costs what it
remembers, never a task. Credentials are kept as slow salted hashes only.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from torkd.runtime.containers.engine import Credentials

PUBLIC = "public"
"""In place of a hash: the image was pulled without credentials, so anybody may use it."""
MOST_IMAGES = 5000
MOST_PROOFS = 50
"""Of an image. Whoever lost his proves it again by pulling."""
_MAX_SIZE = 16 * 1024 * 1024
_UNSAVED_USE = timedelta(minutes=5)
"""How much older the last use in the file may be than the real one: a task must not cost a write."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """An image that torkd pulled, or began to pull."""

    key: str
    """Its canonical name."""
    name: str
    """As the engine was asked for it."""
    last_used: datetime
    image_id: str = ""
    """What the engine called it after the last pull; empty while none has succeeded."""
    proofs: tuple[str, ...] = ()
    """Hashes of the credentials it was pulled with, or `PUBLIC`; none: nobody may use it without pulling it first."""

    def allows(self, proof: str) -> bool:
        """Whether whoever has this proof may use the image as it is."""
        return PUBLIC in self.proofs or proof in self.proofs


@dataclass
class _Content:
    salt: str = field(default_factory=lambda: secrets.token_hex(16))
    images: dict[str, LedgerEntry] = field(default_factory=dict)


class ImageLedger:
    """May be used by any thread. Without a path it is forgotten with the process."""

    def __init__(self, path: Path | None, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path = path
        self.now = now
        self._lock = threading.RLock()
        self._content = _Content()
        self._stamp: tuple[int, int, int] | None = None
        self._is_unsaved = False
        self._fast_key = secrets.token_bytes(16)
        self._hashes: dict[bytes, str] = {}
        self._uses: dict[str, datetime] = {}
        """Last uses that the file does not have yet."""

    def entry(self, key: str) -> LedgerEntry | None:
        """What is known of the image; None when torkd never pulled it."""
        with self._lock:
            self._refresh()
            return self._current(key)

    def entries(self) -> list[LedgerEntry]:
        """All images that torkd pulled."""
        with self._lock:
            self._refresh()
            return [entry for key in list(self._content.images) if (entry := self._current(key)) is not None]

    def age(self, entry: LedgerEntry) -> timedelta:
        """How long it was not used. A last use that is yet to come, for the clock was wrong, counts as one of now."""
        age = self.now() - entry.last_used
        if age < timedelta(0):
            self.touch(entry.key)
        return max(age, timedelta(0))

    def proof(self, credentials: Credentials | None) -> str:
        """What stands for these credentials in the ledger."""
        if credentials is None or credentials == Credentials():
            return PUBLIC
        secret = json.dumps([credentials.username, credentials.password, credentials.identity_token]).encode()
        with self._lock:
            self._refresh()
            if not self._content.images:
                self._edit(_unchanged)  # the salt must be the file's before it is used
            salt = bytes.fromhex(self._content.salt)
            known_as = hashlib.blake2b(salt + secret, key=self._fast_key).digest()
            if known_as not in self._hashes:
                self._hashes[known_as] = hashlib.scrypt(secret, salt=salt, n=2**14, r=8, p=1, dklen=32).hex()
            return self._hashes[known_as]

    def begin(self, key: str, name: str) -> None:
        """Note, before it is pulled, that this image is ours: nobody may use it yet, should we be killed right after."""

        def note(content: _Content) -> None:
            content.images.setdefault(key, LedgerEntry(key=key, name=name, last_used=self.now()))

        self._edit(note)

    def pulled(self, key: str, name: str, *, image_id: str, proof: str) -> None:
        """Note that a pull succeeded with the credentials of this proof."""

        def note(content: _Content) -> None:
            before = content.images.get(key)
            proofs = (*(one for one in (before.proofs if before else ()) if one != proof), proof)[-MOST_PROOFS:]
            content.images[key] = LedgerEntry(
                key=key, name=name, last_used=self.now(), image_id=image_id, proofs=proofs
            )

        self._edit(note)

    def failed(self, key: str) -> None:
        """Note that a pull failed: if none ever succeeded, the image is not ours."""

        def note(content: _Content) -> None:
            if (entry := content.images.get(key)) is not None and not entry.proofs:
                del content.images[key]

        self._edit(note)

    def drop(self, key: str) -> None:
        """Forget an image: it is gone, or no longer ours."""
        self._edit(lambda content: content.images.pop(key, None))

    def touch(self, key: str) -> None:
        """Note that it is used now. Written down every few minutes at most."""
        with self._lock:
            self._refresh()
            if (entry := self._content.images.get(key)) is None:
                return
            self._uses[key] = now = self.now()
            if not timedelta(0) <= now - entry.last_used < _UNSAVED_USE:
                self._edit(_unchanged)

    def save(self) -> None:
        """Write down the last uses that are not written yet."""
        with self._lock:
            if self._uses:
                self._edit(_unchanged)

    def _current(self, key: str) -> LedgerEntry | None:
        entry, used = self._content.images.get(key), self._uses.get(key)
        return replace(entry, last_used=used) if entry is not None and used is not None else entry

    def _edit(self, change: Callable[[_Content], object]) -> None:
        with self._lock:
            if self._path is None:
                self._apply(change)
                return
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with _locked(self._path.with_name(f"{self._path.name}.lock")):
                    self._refresh()
                    self._apply(change)
                    self._write(self._path)
                self._is_unsaved = False
            except OSError as error:
                self._apply(change)  # a second time at worst, which changes nothing
                if not self._is_unsaved:
                    _LOG.warning("%s can't be used, a restart forgets which images were pulled: %s", self._path, error)
                self._is_unsaved = True

    def _apply(self, change: Callable[[_Content], object]) -> None:
        images = self._content.images
        for key, used in self._uses.items():
            if key in images:
                images[key] = replace(images[key], last_used=used)
        self._uses.clear()
        change(self._content)
        if len(images) > MOST_IMAGES:
            # Those that anybody may use go first: forgetting one of the others would open it to everybody.
            ranked = sorted(images.values(), key=lambda entry: (entry.allows(PUBLIC), -entry.last_used.timestamp()))
            for entry in ranked[MOST_IMAGES:]:
                del images[entry.key]

    def _refresh(self) -> None:
        """Read the file again if somebody has replaced it. What could not be written stays."""
        if self._path is None:
            return
        try:
            with self._path.open("rb") as file:
                stamp = _stamp(file.fileno())
                if stamp == self._stamp:
                    return
                data = file.read(_MAX_SIZE + 1)
        except OSError:  # there is none yet, or it is not ours to read, which the next change tells
            return
        self._stamp = stamp
        try:
            content = _decoded(data)
        except ValueError as error:
            _LOG.warning("%s is damaged, which images were pulled is forgotten: %s", self._path, error)
            return
        if self._is_unsaved:
            content.images |= self._content.images
        self._content = content

    def _write(self, path: Path) -> None:
        temporary = path.with_name(f"{path.name}.new")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(_encoded(self._content))
            file.flush()
            os.fsync(fd)
            stamp = _stamp(fd)
        temporary.replace(path)
        self._stamp = stamp


def _unchanged(content: _Content) -> None:
    """Only what is in memory is written."""
    del content


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Only one process at a time gets past here; a killed one lets go by itself."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _stamp(fd: int) -> tuple[int, int, int]:
    status = os.fstat(fd)
    return status.st_ino, status.st_mtime_ns, status.st_size


def _encoded(content: _Content) -> bytes:
    images = {
        entry.key: {
            "name": entry.name,
            "lastUsed": entry.last_used.astimezone(UTC).isoformat(),
            "imageId": entry.image_id,
            "proofs": entry.proofs,
        }
        for entry in content.images.values()
    }
    return json.dumps({"v": 1, "salt": content.salt, "images": images}, indent=1).encode()


def _decoded(data: bytes) -> _Content:
    """What a file says; entries that make no sense are left out. Raises `ValueError` when nothing of it makes sense."""
    if len(data) > _MAX_SIZE:
        raise ValueError(f"it has more than {_MAX_SIZE} bytes")
    try:
        document: Any = json.loads(data)
        salt = str(document["salt"])
        bytes.fromhex(salt)
        stored = dict(document["images"])
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"it is no ledger ({error})") from error
    return _Content(salt, {key: entry for key, value in stored.items() if (entry := _entry(key, value)) is not None})


def _entry(key: str, value: Any) -> LedgerEntry | None:
    try:
        return LedgerEntry(
            key=key,
            name=str(value["name"]),
            last_used=datetime.fromisoformat(value["lastUsed"]).astimezone(UTC),
            image_id=str(value["imageId"]),
            proofs=tuple(str(proof) for proof in value["proofs"]),
        )
    except (TypeError, KeyError, ValueError, OverflowError):
        return None
