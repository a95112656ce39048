"""A task that prints a million lines, over a cluster: how soon they are seen, and how much memory that takes.

Twice: as fast as everything in between can take it, and at a steady rate. A line is late by the time between the script's
printing it and `torkctl logs -f` writing it. Whether all lines came, once and in order, is checked on the way.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Figure
from tests.support.cluster import Cluster, Servers
from tests.support.gates import Gate
from tests.support.log_flood import Memory, flood, following, percentile, stored_lines, torkd_processes
from tests.support.waiting import wait_until

LINES = 1_000_000
STEADY_LINES, PAUSE, PAUSE_EVERY = 200_000, 0.02, 500
"""At most 25,000 lines a second."""
MAX_GROWTH_MB = 150
MAX_DELAY = 1.0


def log_figures() -> Iterator[Figure]:
    """All of them."""
    with Servers.start() as servers:
        yield from _measure(servers, "as fast as it can", LINES, 0.0)
        yield from _measure(servers, "steadily", STEADY_LINES, PAUSE)


def _measure(servers: Servers, how: str, lines: int, pause: float) -> Iterator[Figure]:
    with Cluster(servers) as cluster, tempfile.TemporaryDirectory() as directory:
        coordinator, worker = cluster.start_coordinator(), cluster.start_worker(slots=1)
        gate = Gate(Path(directory) / "gate")
        groups = {
            "coordinator": lambda: torkd_processes(coordinator),
            "worker": lambda: torkd_processes(worker),
            "RabbitMQ": servers.rabbitmq.processes,
        }
        with Memory(groups) as memory:
            job_id = coordinator.submit(flood(lines, gate, pause=pause, pause_every=PAUSE_EVERY))
            with following(coordinator, job_id) as follower:
                wait_until(lambda: follower.count or follower.error, timeout=60, describe=cluster.told)
                gate.open()
                started = time.monotonic()
            seconds = time.monotonic() - started
        follower.check.end(lines)
        stored_lines(cluster.dsn).end(lines)
    name = f"{lines:,} lines {how}"
    yield Figure(name=f"{name}, stored and shown", measured=lines / seconds, unit="lines/s")
    for percent in (50, 99, 100):
        delay = percentile(follower.delays, percent)
        yield Figure(
            name=f"{name}, late by ({percent} %)",
            measured=delay,
            unit="s",
            result=delay,
            result_unit="s",
            target=f"<= {MAX_DELAY:g}",
            met=delay <= MAX_DELAY,
        )
    for group, growth in memory.growth.items():
        megabytes = growth / 1e6
        yield Figure(
            name=f"{name}, {group}: {memory.before[group] / 1e6:.0f} MB before, {memory.after[group] / 1e6:.0f} after",
            measured=memory.most[group] / 1e6,
            unit="MB at most",
            result=megabytes,
            result_unit="MB more",
            target=f"<= {MAX_GROWTH_MB}",
            met=megabytes <= MAX_GROWTH_MB,
        )
