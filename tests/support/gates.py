"""Jobs that last exactly as long as a test wants: each waits at a gate, a file that the test makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Gate:
    """A file that scripts wait for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> None:
        """Let everybody through."""
        self.path.touch()

    def task(self, name: str = "waits") -> dict[str, Any]:
        """A task that says `started`, waits, and says `through`."""
        script = f"echo started; while [ ! -e {self.path} ]; do sleep 0.05; done; echo through"
        return {"name": name, "run": script}

    def job(self, name: str = "waits") -> dict[str, Any]:
        """A job of that one task."""
        return {"name": name, "tasks": [self.task(name)]}
