"""`python -m tests.waits [--runs N] [--seed N]`: the proof; the exit code is 1 when torkctl said anything that is not so."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.support.cluster import Servers
from tests.waits.proof import run_proof


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.waits", description=__doc__)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--beside-each-other", type=int, default=12)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    _tell(f"seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="torkctl-waits-") as directory, Servers.start() as servers:
        report = run_proof(
            servers,
            Path(directory),
            runs=options.runs,
            beside_each_other=options.beside_each_other,
            half_open_seconds=60,
            longest_peace_seconds=12,
            seed=options.seed,
            tell=_tell,
        )
    print(report.table())
    return 1 if report.wrong else 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
