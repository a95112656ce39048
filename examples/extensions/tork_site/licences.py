"""A runtime: scripts in the shell, but no more at once than there are licences for what they start.

It stands on torkd's own, and adds what is said here.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from torkd.runtime.protocol import TaskRun
from torkd.runtime.shell import ShellOptions, ShellRuntime

LOOK_SECONDS = 0.05


class LicensedRuntime:
    """`[runtime.licensed]` has `licences`, 2 unless it says otherwise, and `temp_dir`."""

    def __init__(self, section: Mapping[str, Any]) -> None:
        self._licences = threading.Semaphore(int(section.get("licences", 2)))
        self._shell = ShellRuntime(
            ShellOptions(node_id="licensed", temp_dir=Path(section.get("temp_dir", "/tmp")), grace_seconds=2)
        )

    def run(self, run: TaskRun) -> str:
        """Wait for a licence, but not longer than the task may."""
        while not self._licences.acquire(timeout=LOOK_SECONDS):
            if run.stop.is_set():
                raise run.stop.error()
        try:
            return self._shell.run(run)
        finally:
            self._licences.release()

    def resumable(self) -> Collection[str]:
        """No run outlives the worker."""
        return self._shell.resumable()

    def check_health(self) -> None:
        """As the shell says."""
        self._shell.check_health()

    def close(self) -> None:
        """Release what the shell holds."""
        self._shell.close()
