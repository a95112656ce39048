"""One set of figures for several processes that serve the same port: a scrape is answered by any of them.

prometheus-client keeps the figures of each process in files, which whoever is scraped adds up, when a variable of the
environment says so at the time it is imported. That is after the fork, so the parent decides here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def shared_figures(processes: int) -> Iterator[None]:
    """Let the processes that are forked within the block count together. One alone has no need of files."""
    os.environ.pop(VARIABLE, None)
    if processes < 2:
        yield
        return
    with TemporaryDirectory(prefix="torkd-figures-") as directory:
        os.environ[VARIABLE] = directory
        try:
            yield
        finally:
            os.environ.pop(VARIABLE, None)
