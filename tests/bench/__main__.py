"""`python -m tests.bench [--json]`: measure everything and tell it. Whatever the figures are, the exit code is 0.

It is another one only when something that should have been measured did not come to its end.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator

from tests.bench import measures
from tests.bench.containers import container_figures
from tests.bench.distributed import distributed_figures
from tests.bench.figures import Figure, as_json, table
from tests.bench.logs import log_figures
from tests.bench.startup import startup


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="for programs, in full precision")
    parser.add_argument("--only", choices=_PARTS, help="measure no more than this")
    options = parser.parse_args()
    parts = [_PARTS[options.only]] if options.only else _PARTS.values()
    figures = list(_told(figure for part in parts for figure in part()))
    print(as_json(figures) if options.json else table(figures))
    return 0


def _engine() -> Iterator[Figure]:
    with measures.idle_engine() as (daemon, raw):
        for measure in measures.ENGINE:
            yield from measure(daemon, raw)
        yield from startup(daemon)
        yield from measures.postgres(raw)


_PARTS = {
    "shell": measures.shell_steps,
    "engine": _engine,
    "distributed": distributed_figures,
    "logs": log_figures,
    "containers": container_figures,
}


def _told(figures: Iterable[Figure]) -> Iterator[Figure]:
    """Say on stderr how far it is: the table comes at the end."""
    started = time.monotonic()
    for figure in figures:
        sys.stderr.write(f"{time.monotonic() - started:5.0f} s  {figure.name}\n")
        yield figure


if __name__ == "__main__":
    sys.exit(main())
