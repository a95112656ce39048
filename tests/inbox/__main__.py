"""`python -m tests.inbox [--files N] [--kills N] [--seed N]`: the proof; the exit code is 1 when anything was lost or doubled."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.inbox.proof import run_proof


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.inbox", description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    _tell(f"seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="torkctl-watch-") as base:
        report = run_proof(
            Path(base), files=options.files, droppers=4, pause=1.5, kills=options.kills, seed=options.seed, tell=_tell
        )
    print(report.table())
    return 1 if report.wrong else 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
