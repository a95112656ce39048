"""Moving or deleting a file that was submitted, without ever losing what was written over it in that moment.

A file is first renamed to a place that nobody writes to, and looked at there: only the content that was submitted goes on;
another one is put back. Whatever a killed watcher left in that place, the next one looks at in the same way.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from torkctl.inbox.after import After
from torkctl.inbox.claims import Claims
from torkctl.inbox.folder import StillWritten
from torkctl.inbox.ledger import own_folder
from torkctl.inbox.names import OWN_FOLDER, SUBMITTED_FOLDER

_SHORT_KEY = 8


class Taking:
    """Takes files out of the folder. `key_at` tells under which key the file at a path, once of that name, is submitted."""

    def __init__(self, root: str, after: After, claims: Claims, key_at: Callable[[Path, str], str]) -> None:
        self._root = Path(root)
        self._after = after
        self._claims = claims
        self._key_at = key_at
        self._me = secrets.token_hex(6)
        self._count = 0

    def take(self, name: str, key: str) -> bool:
        """Whether the file is gone from its name. Raises `OSError`."""
        if self._after is After.KEEP or self._path(name).is_symlink():
            return False
        self._claims.take(self._me)
        self._count += 1
        place = own_folder(self._root) / "taken" / f"{key}.{self._me}.{self._count}"
        taken = place / name
        taken.parent.mkdir(parents=True)
        try:
            self._path(name).rename(taken)
        except FileNotFoundError:
            pass  # somebody else has taken it
        finally:
            if not os.path.lexists(taken):
                _remove_empty(place, taken.parent)
        if os.path.lexists(taken):
            self._finish(place, taken, name, key)
        return True

    def recover(self) -> list[OSError]:
        """Finish what watchers that are no more have begun, and what this one could not. Why it can't be finished yet."""
        errors: list[OSError] = []
        for place in sorted((self._root / OWN_FOLDER / "taken").glob("*")):
            key, _, rest = place.name.partition(".")
            if self._is_at_work(rest.partition(".")[0]):
                continue
            for taken in [Path(where) / name for where, _, names in os.walk(place) for name in names]:
                try:
                    self._finish(place, taken, os.fspath(taken.relative_to(place)), key)
                except OSError as error:
                    errors.append(error)
            _remove_empty(place, place)
        return errors

    def _is_at_work(self, owner: str) -> bool:
        """Whether it is another watcher that lives."""
        if owner == self._me:
            return False
        if not self._claims.take(owner):
            return True
        self._claims.drop(owner)
        return False

    def _finish(self, place: Path, taken: Path, name: str, key: str) -> None:
        try:
            if not self._is_as_submitted(taken, name, key):
                self._put_back(taken, name)
            elif self._after is After.DELETE:
                taken.unlink()
            else:
                self._keep(taken, name, key)
        except FileNotFoundError:
            pass  # another watcher takes this one for dead, and has finished it
        _remove_empty(place, taken.parent)

    def _is_as_submitted(self, taken: Path, name: str, key: str) -> bool:
        try:
            return not taken.is_symlink() and self._key_at(taken, name) == key
        except StillWritten:
            return False

    def _keep(self, taken: Path, name: str, key: str) -> None:
        kept = self._root / SUBMITTED_FOLDER / name
        kept.parent.mkdir(parents=True, exist_ok=True)
        if not _renamed_to_free_name(taken, kept):
            short = key.rpartition("-")[2][:_SHORT_KEY]
            taken.replace(kept.with_name(f"{kept.stem}.{short}{kept.suffix}"))

    def _put_back(self, taken: Path, name: str) -> None:
        """Under another name where there is a new file of that one: both have to be looked at."""
        back = self._path(name)
        back.parent.mkdir(parents=True, exist_ok=True)
        if not _renamed_to_free_name(taken, back):
            taken.rename(back.with_name(f"{back.stem}.{secrets.token_hex(4)}{back.suffix}"))

    def _path(self, name: str) -> Path:
        return self._root / name


def _renamed_to_free_name(source: Path, target: Path) -> bool:
    """A rename that replaces nothing. False where there is something, or where that can't be made sure."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError:
        return False
    source.unlink()
    return True


def _remove_empty(place: Path, innermost: Path) -> None:
    folder = innermost
    while True:
        try:
            folder.rmdir()
        except OSError:
            return
        if folder == place:
            return
        folder = folder.parent
