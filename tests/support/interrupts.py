"""Children that Ctrl-C ends, however the tests were started: a shell has its background jobs ignore it, which children inherit."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[None]:
    """What is started within the block ends at SIGINT. In the main thread only."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
