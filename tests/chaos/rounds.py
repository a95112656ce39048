"""Rounds: faults under load, then peace until all is settled, then every invariant."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
import psycopg

from tests.chaos.faults import Ring, a_ring, a_round
from tests.chaos.load import Load, faults_of
from tests.support.cluster import Servers
from tests.support.waiting import wait_until

CLIENTS = 16
SETTLE_SECONDS = 120.0
"""Within which everything ends once nothing is done to it any more."""
CALM_SECONDS = 30.0
"""Within which queues and tables are tidy after that."""
LONGEST_PEACE_SECONDS = 3.0
"""Between two faults."""


@dataclass
class Report:
    """What was done, and what was found."""

    faults: Counter[str] = field(default_factory=Counter)
    jobs: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def fault_count(self) -> int:
        """All of them."""
        return sum(self.faults.values())

    def table(self) -> str:
        """For people."""
        rows = [f"{count:6}  {name.replace('_', ' ')}" for name, count in sorted(self.faults.items())]
        rows += [f"{self.fault_count:6}  faults in {self.seconds:.0f} s", ""]
        rows += [f"{count:6}  jobs of the kind '{name}'" for name, count in sorted(self.jobs.items())]
        rows += [
            f"{sum(self.jobs.values()):6}  jobs",
            "",
            f"{len(self.wrong):6}  wrong (lost, doubled, stuck, left over)",
        ]
        return "\n".join([*rows, *self.wrong])


def run_rounds(servers: Servers, directory: Path, *, faults: int, seed: int, tell: Callable[[str], None]) -> Report:
    """Rounds until so many faults were injected, or something is wrong."""
    report = Report()
    started = time.monotonic()
    with a_ring(servers, directory, seed) as ring:
        load = Load(ring.cluster.coordinators, directory, clients=CLIENTS, seed=seed)
        try:
            while report.fault_count < faults and not report.wrong:
                known = len(load.sent)
                load.go_on()
                _do_harm(ring, report, a_round(ring.chance)[: faults - report.fault_count], tell)
                load.hold()
                report.wrong += _settle(ring, load, known, report)
                report.seconds = time.monotonic() - started
                tell(
                    f"{report.seconds:5.0f} s  {report.fault_count} faults, {len(load.sent)} jobs, {report.wrong or 'all well'}"
                )
            if report.wrong:
                tell(ring.cluster.told())
        finally:
            load.stop()
    return report


def _do_harm(ring: Ring, report: Report, faults: Sequence[Callable[[Ring], None]], tell: Callable[[str], None]) -> None:
    for fault in faults:
        time.sleep(ring.chance.uniform(0, LONGEST_PEACE_SECONDS))
        before = ring.died()
        fault(ring)
        report.faults[fault.__name__] += 1
        if died := ring.died() - before:
            report.faults["died_halfway"] += died


def _settle(ring: Ring, load: Load, known: int, report: Report) -> list[str]:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not load.is_settled():
        if time.monotonic() > deadline:
            return [f"stuck: {name}" for name in load.unfinished()]
        time.sleep(0.1)
    sent = load.sent[known:]
    report.jobs.update(one.kind.name for one in sent)
    wrong = [fault for one in sent for fault in faults_of(load, one)]
    for name, look in (
        ("queues and tables", _untidy),
        ("processes", _left_processes),
        ("directories", _left_directories),
    ):
        try:
            wait_until(partial(_is_empty, look, ring), timeout=CALM_SECONDS)
        except AssertionError:
            wrong.append(f"{name}: {look(ring)}")
    return wrong


def _is_empty(look: Callable[[Ring], list[str]], ring: Ring) -> bool:
    return not look(ring)


def _untidy(ring: Ring) -> list[str]:
    found: list[str] = []
    with psycopg.connect(ring.cluster.dsn, autocommit=True) as connection:
        for what, query in _QUERIES.items():
            row = connection.execute(query).fetchone()
            if row is not None and row[0]:
                found.append(f"{row[0]} {what}")
    queues = ring.cluster.coordinators[-1].call("GET", "/queues")
    found += [
        f"{queue['size']} messages in {queue['name']}" for queue in queues if queue["name"] in _EMPTY and queue["size"]
    ]
    return found


_EMPTY = {"default", "other", "dead"}
_QUERIES = {
    "rows in the outbox": "SELECT count(*) FROM outbox",
    "jobs that go on": "SELECT count(*) FROM jobs WHERE state IN ('PENDING', 'SCHEDULED', 'RUNNING')",
    "tasks that go on": "SELECT count(*) FROM tasks WHERE state IN ('CREATED', 'PENDING', 'SCHEDULED', 'RUNNING')",
}


def _left_processes(ring: Ring) -> list[str]:
    """Scripts of tasks, wherever they went: each has its directory in its environment. Other tests' are not ours to judge."""
    ours = tuple(f"{worker.base}/" for worker in ring.cluster.workers)
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("WORKDIR", "").startswith(ours):
                found.append(f"{process.pid} {' '.join(process.cmdline())[:80]}")
        except psutil.Error:
            continue
    return found


def _left_directories(ring: Ring) -> list[str]:
    return [str(path) for worker in ring.cluster.workers for path in (worker.base / "tmp").glob("*/*/*")]
