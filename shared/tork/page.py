"""A page of a long list."""

from __future__ import annotations

from typing import Generic, TypeVar

from tork.wire import Told

T = TypeVar("T")


class Page(Told, Generic[T], frozen=True, kw_only=True):
    """`size` is the number of items here, `number` the page asked for, from 1."""

    items: list[T]
    number: int
    size: int
    total_pages: int
    total_items: int
    total_is_lower_bound: bool = False
    """Whether there are more than `total_items`: counting stops at 10,000 matches."""
