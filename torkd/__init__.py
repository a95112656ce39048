"""The daemon: job submissions come in over HTTP, tasks go to workers, results and logs go to the database and back out."""

from __future__ import annotations

from tork.version import VERSION

__version__ = VERSION

__all__ = ["__version__"]
