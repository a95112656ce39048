"""The daemon with a runtime that does nothing, registered as an extension: what is left is the engine's own cost.

Started as a program by the benchmark: `python bench_daemon.py run standalone`.
"""

from __future__ import annotations

import sys

from torkd.__main__ import main
from torkd.extensions import Extensions
from torkd.runtime.protocol import TaskRun


class NoOpRuntime:
    """Every task is done at once."""

    def run(self, run: TaskRun) -> str:
        """Nothing."""
        return ""

    def resumable(self) -> tuple[str, ...]:
        """Nothing outlives the daemon."""
        return ()

    def check_health(self) -> None:
        """Always well."""

    def close(self) -> None:
        """Nothing to release."""


if __name__ == "__main__":
    extensions = Extensions()
    extensions.register_runtime("noop", lambda _section: NoOpRuntime())
    sys.exit(main(extensions=extensions))
