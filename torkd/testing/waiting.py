"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(
    condition: Callable[[], object], *, timeout: float = 20.0, describe: Callable[[], str] | None = None
) -> None:
    """Return once the condition holds; fail when it does not within `timeout` seconds, with what `describe` says."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout} seconds\n{describe() if describe else ''}")
        time.sleep(0.005)
