"""The daemon: job submissions come in over HTTP, tasks go to workers, results and logs go to the database and back out."""

from __future__ import annotations

__version__ = "0.1.0"
