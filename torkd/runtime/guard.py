"""Ends the scripts of a daemon that was killed, and of a `torkctl run`: nobody else is left to do it at once.

The guard is a process that reads a pipe. Only the daemon has the pipe's other end, so whatever ends the daemon closes it, and
the guard then ends everything that works in the daemon's work area. It has no other duty and is killed when the area is closed.

Invariant: signals that a terminal or a service manager sends to all processes do not end it before the daemon.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from torkd.runtime.survivors import kill_heirs_of

VARIABLE = "WORKDIR"
"""Every script has it in its environment: its directory, which is in the work area."""
_ROUNDS = 50
_ROUND_SECONDS = 0.02
"""Between looks: what was forked while the others were killed is found in the next."""


class Guard:
    """The daemon's end. `area` is the directory in which its scripts work."""

    def __init__(self, area: Path) -> None:
        reader, self._writer = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(reader), f"{area}/"],
                stdin=subprocess.DEVNULL,
                pass_fds=(reader,),
                start_new_session=True,
            )
        except BaseException:
            os.close(self._writer)
            raise
        finally:
            os.close(reader)

    def close(self) -> None:
        """No script is left: it is not needed any more."""
        self._process.kill()
        self._process.wait()
        os.close(self._writer)


def watch(reader: int, prefix: str) -> None:
    """Wait for the daemon's end, then kill whatever works below the prefix."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    os.read(reader, 1)
    for _ in range(_ROUNDS):
        if not kill_heirs_of(VARIABLE, prefix):
            return
        time.sleep(_ROUND_SECONDS)


if __name__ == "__main__":
    watch(int(sys.argv[1]), sys.argv[2])
