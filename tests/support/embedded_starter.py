"""A process for tests to kill: starts an embedded server, prints one JSON line about it, stops it when stdin closes.

Usage: embedded_starter.py BASE [run|fork]   (run: in a free run directory; fork: with a forked child that outlives it)
Prints {"dsn", "base", "keeper", "child"} or {"error"}. Uses only what any Python finds, so any user may run it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from tork.errors import StartError
from torkd.datastore.embedded import start_embedded, start_in_free_run_directory


def main(base: Path, mode: str) -> int:
    start = start_in_free_run_directory if mode == "run" else start_embedded
    try:
        server = start(base)
    except StartError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 1
    child = 0
    if mode == "fork":
        child = os.fork()
        if child == 0:
            signal.pause()
    about = {"dsn": server.dsn, "base": str(server.base), "keeper": server.keeper_pid, "child": child}
    print(json.dumps(about), flush=True)
    sys.stdin.read()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""))
