"""What is remembered in the folder's `.torkctl/`: what was submitted, and which jobs are still waited for.

All of it only saves work. Whatever can't be read is taken for not there, whatever can't be written is told once.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

from tork.wire import Told
from torkctl.inbox.folder import reason
from torkctl.inbox.names import OWN_FOLDER

_FRESH_SECONDS = 86400.0
_KEPT_SECONDS = 90 * 86400.0
_MOST_WRITINGS = 100
_PLAIN_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


class Entry(Told, frozen=True, kw_only=True):
    """What a content was submitted as, and from which files."""

    id: str
    """Of the job, or of the scheduled job; empty when it was removed before it was known here."""

    is_schedule: bool = False
    writings: dict[str, int] = {}
    """When each of the files was changed last, by their names, which are quoted: they may be any bytes."""

    def knows(self, name: str, mtime_ns: int) -> bool:
        """Whether it was submitted from this very file as it is."""
        return self.writings.get(quoted(name)) == mtime_ns

    def also_from(self, name: str, mtime_ns: int) -> Entry:
        """The entry with this file. Of hundreds of files only the last are known."""
        others = [pair for pair in self.writings.items() if pair[0] != quoted(name)]
        return msgspec.structs.replace(self, writings={**dict(others[-_MOST_WRITINGS:]), quoted(name): mtime_ns})


@dataclass(frozen=True, kw_only=True)
class Awaited:
    """A job whose result belongs beside a file."""

    job_id: str
    name: str


def quoted(name: str) -> str:
    """A name as text, whatever bytes it has."""
    return quote_from_bytes(os.fsencode(name))


def own_folder(root: Path) -> Path:
    """The folder for what is ours, made if need be. Raises `OSError`, also when it is not a folder but a link to one."""
    path = root / OWN_FOLDER
    path.mkdir(exist_ok=True)
    if not stat.S_ISDIR(path.lstat().st_mode):
        raise NotADirectoryError(20, "it is no folder", os.fspath(path))
    return path


class Ledger:
    """The memory for one server: what another one has is another matter."""

    def __init__(self, root: str, endpoint: str, warn: Callable[[str], None]) -> None:
        self._root = Path(root)
        self._server = hashlib.sha256(endpoint.encode()).hexdigest()[:16]
        self._warn = warn
        self._has_warned = False
        self._unwritten: dict[str, Entry] = {}

    def find(self, key: str) -> Entry | None:
        """What was submitted under this key, if that is known."""
        if key in self._unwritten:
            return self._unwritten[key]
        path = self._entry(key)
        try:
            content = path.read_bytes()
            entry = msgspec.json.decode(content, type=Entry)
            if time.time() - path.stat().st_mtime > _FRESH_SECONDS:
                os.utime(path)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return entry

    def write(self, key: str, entry: Entry) -> None:
        """Remember it, at least for as long as this process lives."""
        if not self._write(self._entry(key), msgspec.json.encode(entry)):
            self._unwritten[key] = entry

    def prune(self, used: Iterable[str]) -> None:
        """Forget what nobody has asked for in months; the keys in use are as good as asked for."""
        for key in used:
            try:
                os.utime(self._entry(key))
            except OSError:
                continue  # without it the server is asked again, which knows
        for path in self._files(self._place("ledger")):
            try:
                if time.time() - path.stat().st_mtime > _KEPT_SECONDS:
                    path.unlink()
            except OSError:
                continue

    def awaits(self, awaited: Awaited) -> None:
        """Remember that a result is still to be written."""
        if path := self._awaited(awaited):
            self._write(path, quoted(awaited.name).encode())

    def awaits_no_more(self, awaited: Awaited) -> None:
        """The result was written."""
        if path := self._awaited(awaited):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                self._tell(error)

    def all_awaited(self) -> list[Awaited]:
        """Whatever results are still to be written, oldest first."""
        found: list[tuple[float, Awaited]] = []
        for path in self._files(self._place("waiting")):
            try:
                name = os.fsdecode(unquote_to_bytes(path.read_bytes()))
                found.append((path.stat().st_mtime, Awaited(job_id=path.name.partition(".")[0], name=name)))
            except OSError:
                continue  # somebody else has written it just now
        # what leads out of the folder was not written by us
        return [awaited for _, awaited in sorted(found, key=lambda pair: pair[0]) if _is_ours(awaited)]

    def _place(self, kind: str) -> Path:
        return self._root / OWN_FOLDER / kind / self._server

    def _entry(self, key: str) -> Path:
        return self._place("ledger") / key[-2:] / key

    def _awaited(self, awaited: Awaited) -> Path | None:
        if not _PLAIN_ID.fullmatch(awaited.job_id):
            return None
        return self._place("waiting") / f"{awaited.job_id}.{hashlib.sha256(os.fsencode(awaited.name)).hexdigest()[:12]}"

    def _files(self, folder: Path) -> Iterator[Path]:
        for where, _, names in os.walk(folder):
            yield from (Path(where) / name for name in names if not name.startswith("."))

    def _write(self, path: Path, content: bytes) -> bool:
        temporary = path.with_name(f".{secrets.token_hex(6)}")
        try:
            own_folder(self._root)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as error:
            self._tell(error)
        else:
            return True
        try:
            temporary.unlink(missing_ok=True)
        except OSError:
            pass  # where nothing can be written, nothing may be removed either
        return False

    def _tell(self, error: OSError) -> None:
        if not self._has_warned:
            self._has_warned = True
            self._warn(
                f"{self._root}/{OWN_FOLDER} can't be written to ({reason(error)}): what was submitted is not remembered"
                " there, and every start asks the server again"
            )


def _is_ours(awaited: Awaited) -> bool:
    parts = awaited.name.split("/")
    return bool(_PLAIN_ID.fullmatch(awaited.job_id)) and not {"", "..", "."} & set(parts) and "\0" not in awaited.name
