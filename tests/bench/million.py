"""`python -m tests.bench.million`: a million jobs in a database of its own, and how long the API's answers take on it.

It needs 6 GB of disk for a few minutes. With `--jobs` it can be smaller; `--keep DIR` leaves the database there, for the next
time or for a daemon with `TORK_DATA_DIR=DIR/data`.

A figure is the median of some requests, and the best of up to three such medians: what else the machine does comes and goes, and
what an answer costs stays. On a machine that is busy all the while that is not enough. So the time for which the server and its
database were ready to go on and others had the processors is taken off before a figure is held against its target; on a machine
that does nothing else it is nothing. The exit code is 1 when a figure misses its target.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

import psutil
import psycopg

from tests.bench.daemons import SETTINGS, disk
from tests.bench.figures import Figure, table
from tests.bench.rows import COMMON, RARE, VIEWER, make_rows, make_viewer, make_wide_job
from tests.support.daemon import Daemon
from tests.support.http_cases import call
from torkd.accounts.passwords import hash_password
from torkd.datastore.embedded import start_embedded
from torkd.datastore.postgres.migrations import migrate

TASKS = 5
WIDE = 100_000
ROUNDS = 15
TRIES = 3
AT_MOST_MS, AT_MOST_MB = 30.0, 300.0
QUERIES = {
    "jobs, page 1": "/jobs",
    "jobs, page 1,000": "/jobs?page=1000",
    "jobs, the last page": "/jobs?page={last}",
    "search, many match": "/jobs?q=scene",
    "search, few match": "/jobs?q=subtitles",
    "search, nothing matches": "/jobs?q=nothingness",
    "search, a state as a word": "/jobs?q=failed",
    "tag, every second job": f"/jobs?tag={COMMON}",
    "tag, one of fifty": "/jobs?tag=kind-7",
    "tag, one of 50,000": f"/jobs?tag={RARE}",
    "tag, none": "/jobs?tag=nope",
    "state, most": "/jobs?state=COMPLETED",
    "state, some": "/jobs?state=FAILED",
    "state, few": "/jobs?state=RUNNING",
    "most states, tag one of fifty": "/jobs?state=COMPLETED&tag=kind-7",
    "most states, every second tag": f"/jobs?state=COMPLETED&tag={COMMON}",
    "some states, tag one of fifty": "/jobs?state=FAILED&tag=kind-10",
    "some states, no match": "/jobs?state=FAILED&tag=kind-7",
    "few states, every second tag": f"/jobs?state=RUNNING&tag={COMMON}",
    "most states, a word of many": "/jobs?state=COMPLETED&q=scene",
    "some states, a word of few": "/jobs?state=FAILED&q=subtitles",
    "id prefix": "/jobs?idPrefix={prefix}",
    "a job": "/jobs/{job}",
    "metrics": "/metrics",
    "metrics for Prometheus": "/metrics",
}
HARD = {
    "jobs, the page in the middle": "/jobs?page={middle}",
    "some states, every second tag": f"/jobs?state=FAILED&tag={COMMON}",
    "some states, a word of many": "/jobs?state=FAILED&q=scene",
}
"""Without a target: half of all jobs have to be gone past, or ten thousand matches to be looked up one by one."""
VIEWED = {
    "a viewer's jobs": "/jobs",
    "a viewer's search, many match": "/jobs?q=scene",
    "a viewer's search, few match": "/jobs?q=subtitles",
    "a viewer's tag, one of fifty": "/jobs?tag=kind-7",
    "a viewer's state": "/jobs?state=FAILED",
    "a viewer's state and tag": "/jobs?state=FAILED&tag=kind-10",
}
"""Asked by somebody who may not see one job in twenty."""
PASSWORD = "correct-horse"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.million", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="make the database here, or use the one that is here")
    options = parser.parse_args()
    with _place(options.keep) as base:
        base.chmod(0o711)
        _make(base, options.jobs)
        settings = {**SETTINGS, "TORK_DATA_DIR": str(base / "data"), "TORK_RUNTIME_TYPE": "shell"}
        with Daemon(settings, place=disk()) as daemon:
            figures = [*_lists(daemon, options.jobs), *_wide_job(daemon, base)]
        with Daemon({**settings, "TORK_MIDDLEWARE_WEB_BASICAUTH_ENABLED": "true"}, place=disk()) as daemon:
            figures += _viewed(daemon)
    print(table(figures))
    missed = [figure.name for figure in figures if figure.met is False]
    if missed:
        sys.stderr.write(f"beyond their targets in {TRIES} tries: {', '.join(missed)}\n")
    return 1 if missed else 0


@contextmanager
def _place(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="torkd-million-", dir=disk()) as directory:
        yield Path(directory)


def _make(base: Path, jobs: int) -> None:
    server = start_embedded(base / "data")
    try:
        migrate(server.dsn)
        with psycopg.connect(server.dsn) as connection:
            found = connection.execute("SELECT count(*) FROM jobs").fetchone()
        if found == (0,):
            started = time.monotonic()
            make_rows(server.dsn, jobs=jobs, tasks=TASKS)
            make_viewer(server.dsn, hash_password(PASSWORD))
            sys.stderr.write(f"{jobs:,} jobs and {jobs * TASKS:,} tasks made in {time.monotonic() - started:.0f} s\n")
    finally:
        server.stop()


def _lists(daemon: Daemon, jobs: int) -> Iterator[Figure]:
    newest = daemon.call("GET", "/jobs")
    # Jobs that run come and go in the queries themselves, so the places are taken once.
    places = {
        "job": newest["items"][3]["id"],
        "prefix": newest["items"][3]["id"][:8],
        "middle": str(jobs // 20),
        "last": str(jobs // 10),
    }
    for name, path in (QUERIES | HARD).items():
        for place, value in places.items():
            path = path.replace(f"{{{place}}}", value)
        headers = {"Accept": "text/plain"} if "Prometheus" in name else {}
        yield _answered(daemon, name, path, headers, has_target=name not in HARD)


def _viewed(daemon: Daemon) -> Iterator[Figure]:
    """The same for somebody who may not see everything."""
    headers = {"Authorization": "Basic " + b64encode(f"{VIEWER}:{PASSWORD}".encode()).decode()}
    for name, path in VIEWED.items():
        yield _answered(daemon, name, path, headers)


def _answered(daemon: Daemon, name: str, path: str, headers: dict[str, str], *, has_target: bool = True) -> Figure:
    """One question, again and again. Measured is the time by the clock, the result is what is left of it without others' work."""
    best, own = float("inf"), float("inf")
    for _ in range(TRIES):
        _milliseconds(daemon, path, headers)
        makers = _makers(daemon)
        took, waited = zip(*(_one(daemon, path, headers, makers) for _ in range(ROUNDS)), strict=True)
        best = min(best, median(took))
        own = min(own, median(whole - part for whole, part in zip(took, waited, strict=True)))
        if own <= AT_MOST_MS:
            break
    if not has_target:
        return Figure(name=name, measured=best, unit="ms", result=own, result_unit="ms")
    return Figure(
        name=name,
        measured=best,
        unit="ms",
        result=own,
        result_unit="ms",
        target=f"<= {AT_MOST_MS:g}",
        met=own <= AT_MOST_MS,
    )


def _one(daemon: Daemon, path: str, headers: dict[str, str], processes: Sequence[Sequence[int]]) -> tuple[float, float]:
    """How long an answer took, and how long of it those who make it were ready to go on and others had the processors."""
    before = [_waits(group) for group in processes]
    took = _milliseconds(daemon, path, headers)
    after = [_waits(group) for group in processes]
    waited = [
        max((waits[thread] - first[thread] for thread in waits.keys() & first.keys()), default=0.0)
        for first, waits in zip(before, after, strict=True)
    ]
    return took, sum(waited)


def _makers(daemon: Daemon) -> list[list[int]]:
    """The processes of the server and those of its database: an answer is made now by one of these, now by one of those."""
    (server,) = daemon.children("server")
    pid_file = Path(daemon.environment["TORK_DATA_DIR"]) / "postgres" / "data" / "postmaster.pid"
    postmaster = psutil.Process(int(pid_file.read_text().split()[0]))
    return [[server.pid], [backend.pid for backend in postmaster.children()]]


def _waits(pids: Sequence[int]) -> dict[str, float]:
    """Thread of these processes, to the milliseconds for which it has waited for a processor so far."""
    found: dict[str, float] = {}
    for thread in (thread for pid in pids for thread in Path(f"/proc/{pid}/task").glob("*")):
        with suppress(OSError):
            found[thread.name] = int((thread / "schedstat").read_text().split()[1]) / 1e6
    return found


def _wide_job(daemon: Daemon, base: Path) -> Iterator[Figure]:
    """One job with very many tasks, in full: how long it takes, and how much the process grows by it."""
    job_id = daemon.call("GET", "/jobs")["items"][5]["id"]
    dsn = f"host={base / 'data' / 'postgres' / 'socket'} port=5432 user=tork dbname=tork"
    make_wide_job(dsn, job_id, WIDE)
    (server,) = daemon.children("server")
    before = server.memory_info().rss
    seconds = _milliseconds(daemon, f"/jobs/{job_id}", {}) / 1000
    grown = (_most_memory(server) - before) / 1e6
    yield Figure(name=f"a job with {WIDE:,} tasks", measured=seconds, unit="s")
    yield Figure(
        name="growth of the process by it",
        measured=grown,
        unit="MB",
        result=grown,
        result_unit="MB",
        target=f"<= {AT_MOST_MB:g}",
        met=grown <= AT_MOST_MB,
    )
    yield _answered(daemon, "a page of its execution", f"/jobs/{job_id}?executionSize=100", {}, has_target=False)


def _most_memory(process: psutil.Process) -> int:
    """The most it ever had resident."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def _milliseconds(daemon: Daemon, path: str, headers: dict[str, str]) -> float:
    started = time.perf_counter()
    answer = call(daemon.endpoint, "GET", path, headers=headers, within=120)
    took = (time.perf_counter() - started) * 1000
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {answer.body[:200]!r}")
    return took


if __name__ == "__main__":
    sys.exit(main())
