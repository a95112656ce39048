"""Ids as people type them and read them: whole, by their beginning, or the first few of many."""

from __future__ import annotations

import re
from collections.abc import Sequence

SHORTEST_PREFIX = 6
"""The beginning of an id has at least so many characters."""

FULL_ID = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
_MOST_SHOWN = 5


def some_of(ids: Sequence[str]) -> str:
    """The first of them, for a sentence."""
    return ", ".join(ids[:_MOST_SHOWN]) + (", …" if len(ids) > _MOST_SHOWN else "")
