"""`python -m tests.chaos [--faults N] [--seed N]`: faults under load; the exit code is 1 when anything was lost, doubled, stuck or left."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.rounds import run_rounds
from tests.support.cluster import Servers


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="torkd-chaos-") as directory, Servers.start() as servers:
        report = run_rounds(servers, Path(directory), faults=options.faults, seed=options.seed, tell=_tell)
    print(report.table())
    return 1 if report.wrong else 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
