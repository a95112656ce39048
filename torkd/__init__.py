"""The daemon: job submissions come in over HTTP, tasks go to workers, results and logs go to the database and back out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tork.version import VERSION

if TYPE_CHECKING:
    from torkd.embedding import Engine

__version__ = VERSION

__all__ = ["Engine", "__version__"]


def __getattr__(name: str) -> Any:
    """Who only wants the version does not pay for the engine."""
    if name == "Engine":
        from torkd.embedding import Engine

        return Engine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
