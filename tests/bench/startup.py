"""How soon the command line answers, beside the import that no command of it can do without."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from tests.bench.figures import Figure
from tests.support.daemon import Daemon

ROUNDS = 7


def startup(daemon: Daemon) -> Iterator[Figure]:
    """`torkctl --version`, and `torkctl submit` to a daemon that is there."""
    job = daemon.base / "job.yaml"
    job.write_text("name: one task\ntasks:\n  - name: one\n    run: nothing\n")
    torkctl = [str(Path(sys.executable).with_name("torkctl"))]
    commands = {
        "torkctl --version": [*torkctl, "--version"],
        "torkctl submit": [*torkctl, "submit", str(job)],
    }
    reference = [sys.executable, "-c", "import typer"]
    for command in (*commands.values(), reference):
        _milliseconds(command, daemon)  # compiles what has to be compiled
    rounds = [
        (_milliseconds(reference, daemon), {name: _milliseconds(line, daemon) for name, line in commands.items()})
        for _ in range(ROUNDS)
    ]
    bare = median(ms for ms, _ in rounds)
    for name in commands:
        measured = median(times[name] for _, times in rounds)
        yield Figure(
            name=name,
            measured=measured,
            unit="ms",
            reference="python -c 'import typer'",
            reference_measured=bare,
            result=measured / bare,
            result_unit="x",
        )


def _milliseconds(command: Sequence[str], daemon: Daemon) -> float:
    started = time.perf_counter()
    subprocess.run(command, env=daemon.client_environment(), capture_output=True, check=True, timeout=60)
    return (time.perf_counter() - started) * 1000
