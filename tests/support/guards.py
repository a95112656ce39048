"""The processes that end the scripts of a daemon once it is killed, for tests of what comes after a daemon that has none."""

from __future__ import annotations

import psutil

from tests.support.waiting import wait_until


def kill_with_its_guard(pid: int) -> None:
    """Kill the process that has a work area, and before it the one that would clear up behind it a moment later."""
    process = psutil.Process(pid)
    guards: list[psutil.Process] = []

    def has_guard() -> bool:
        guards[:] = [child for child in process.children() if "torkd.runtime.guard" in child.cmdline()]
        return bool(guards)

    wait_until(has_guard)  # a moment after its start it still looks like its parent
    guards[0].kill()
    process.kill()
