"""Which files are due: those that have stopped changing, or whose time to be tried again has come. No clock, no disk.

Invariant: a file that is done is due again exactly when its signature changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_FIRST_DELAY_SECONDS = 0.5
_LONGEST_DELAY_SECONDS = 60.0


class Signature(NamedTuple):
    """What changes when a file is written, replaced, renamed, or made readable."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass
class _Pending:
    signature: Signature
    due_at: float
    since: float
    failures: int = 0


def delay_seconds(failures: int) -> float:
    """The pause after so many failures in a row: longer each time."""
    return float(min(_FIRST_DELAY_SECONDS * 2 ** min(failures, 20), _LONGEST_DELAY_SECONDS))


@dataclass(kw_only=True)
class Tracker:
    """The files of one folder, by their names."""

    settle_seconds: float
    """How long a file must be unchanged."""

    takes_new: bool = True
    """Whether names that were not there before count."""

    _pending: dict[str, _Pending] = field(default_factory=dict)
    _done: dict[str, tuple[Signature, str]] = field(default_factory=dict)

    def saw(self, name: str, signature: Signature, now: float) -> None:
        """The file is there, and looks like this."""
        done = self._done.get(name)
        if done is not None and done[0] == signature:
            return
        pending = self._pending.get(name)
        if pending is None:
            if done is None and not self.takes_new:
                return
            self._done.pop(name, None)
            self._pending[name] = _Pending(signature, now + self.settle_seconds, now)
        elif pending.signature != signature:
            self._pending[name] = _Pending(signature, now + self.settle_seconds, pending.since)

    def gone(self, name: str) -> None:
        """The file is not there."""
        self._pending.pop(name, None)
        self._done.pop(name, None)

    def scanned(self, found: Mapping[str, Signature], now: float) -> None:
        """These files are there and no others."""
        for name in [name for known in (self._pending, self._done) for name in known if name not in found]:
            self.gone(name)
        for name, signature in found.items():
            self.saw(name, signature, now)

    def done(self, name: str, signature: Signature, key: str = "") -> None:
        """Nothing is to be done about it until it changes. `key` is what it was submitted under."""
        self._pending.pop(name, None)
        self._done[name] = (signature, key)

    def later(self, name: str, due_at: float) -> None:
        """Look at it again then, as if for the first time."""
        if pending := self._pending.get(name):
            pending.due_at = due_at

    def failed(self, name: str, now: float) -> None:
        """Try it again, after a pause that grows."""
        if pending := self._pending.get(name):
            pending.due_at = now + delay_seconds(pending.failures)
            pending.failures += 1

    def due(self, now: float) -> list[str]:
        """The names whose time has come, in that order."""
        found = [(pending.due_at, name) for name, pending in self._pending.items() if pending.due_at <= now]
        return [name for _, name in sorted(found)]

    def next_due_at(self) -> float | None:
        """When the next one will be due."""
        return min((pending.due_at for pending in self._pending.values()), default=None)

    def signature_of(self, name: str) -> Signature | None:
        """How a file that is pending was seen last."""
        pending = self._pending.get(name)
        return pending.signature if pending else None

    def pending_for(self, name: str, now: float) -> float:
        """For how many seconds it has been pending."""
        pending = self._pending.get(name)
        return now - pending.since if pending else 0.0

    def pending_names(self) -> list[str]:
        """All that is still to be done."""
        return list(self._pending)

    def keys(self) -> Iterable[str]:
        """What the files that are there and done were submitted under."""
        return [key for _, key in self._done.values() if key]
