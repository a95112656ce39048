"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable

SHORTEST_PAUSE, LONGEST_PAUSE = 0.005, 0.05
"""Between two looks. A look is a request more often than not, and takes time from the program that is waited for."""


def wait_until(
    condition: Callable[[], object], *, timeout: float = 20.0, describe: Callable[[], str] | None = None
) -> None:
    """Return once the condition holds; fail when it does not within `timeout` seconds, with what `describe` says."""
    began_at = time.monotonic()
    while not condition():
        waited = time.monotonic() - began_at
        if waited >= timeout:
            raise AssertionError(f"not within {timeout} seconds\n{describe() if describe else ''}")
        time.sleep(min(max(waited / 10, SHORTEST_PAUSE), LONGEST_PAUSE))
