"""Pages of long lists: how far is counted, and what a page says about the whole."""

from __future__ import annotations

from typing import TypeVar

from tork.page import Page

T = TypeVar("T")

COUNTED_AT_MOST = 10_000
"""Totals are exact up to here. Counting goes one further, to tell whether there is more."""
COUNT_LIMIT = COUNTED_AT_MOST + 1
_LAST_OFFSET = 2**31


def offset_of(page: int, size: int) -> int:
    """How many come before the page, bounded to what the database can be asked for."""
    return min((page - 1) * size, _LAST_OFFSET)


def page_of(items: list[T], *, page: int, size: int, counted: int, in_full: bool = False) -> Page[T]:
    """A page, where `counted` stops at `COUNT_LIMIT` unless all were counted."""
    total = counted if in_full else min(counted, COUNTED_AT_MOST)
    return Page(
        items=items,
        number=page,
        size=len(items),
        total_pages=-(-total // size),
        total_items=total,
        total_is_lower_bound=counted > total,
    )
