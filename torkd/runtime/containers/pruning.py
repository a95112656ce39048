"""Removes images that torkd pulled and no task has used for long.

Never one that torkd did not pull, that has become something else since, that a task uses, or that a pattern keeps. An image
that can't be removed does not save the others.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from fnmatch import fnmatchcase

from torkd.runtime.containers.engine import EngineError
from torkd.runtime.containers.image_ledger import LedgerEntry
from torkd.runtime.containers.images import ImageStore
from torkd.runtime.containers.reference import HUB

_LOG = logging.getLogger(__name__)


def prune(images: ImageStore, *, ttl_seconds: float | None, keep: Sequence[str] = ()) -> list[str]:
    """Remove what was not used for longer than `ttl_seconds` (None: nothing, ever); the names of the removed images.

    `keep` has shell patterns for images that stay: for the name as tasks give it, and for the full one. May run beside tasks.
    """
    images.note_uses()
    if ttl_seconds is None:
        return []
    removed = []
    for entry in images.ledger.entries():
        if images.ledger.age(entry) <= timedelta(seconds=ttl_seconds) or _is_kept(entry, keep):
            continue
        try:
            if images.remove(entry):
                removed.append(entry.name)
        except EngineError as error:
            _LOG.warning("image %s can't be removed: %s", entry.name, error)
    if removed:
        _LOG.info("removed %d unused images: %s", len(removed), ", ".join(removed))
    return removed


def _is_kept(entry: LedgerEntry, keep: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in _names(entry) for pattern in keep)


def _names(entry: LedgerEntry) -> set[str]:
    """The ways in which an operator may name it."""
    names = {entry.name, entry.key}
    names |= {name.removeprefix(f"{HUB}/") for name in names}
    names |= {name.removeprefix("library/") for name in names}
    return names | {name.removesuffix(":latest") for name in names}
