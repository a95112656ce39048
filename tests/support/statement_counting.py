"""Counting what is sent to Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    """The statements that are executed during the block, in order; commits and what comes now and then are not counted."""
    statements: list[str] = []
    execute = psycopg.Cursor.execute  # a connection's own makes a cursor

    def counting(cursor: psycopg.Cursor[Any], query: Any, *args: Any, **kwargs: Any) -> Any:
        if query not in ("COMMIT", "DISCARD PLANS"):
            statements.append(str(query))
        return execute(cursor, query, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", counting)
        yield statements
