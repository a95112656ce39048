"""Runs of torkctl beside each other, through a proxy that does harm, while everything is killed; then peace, and the comparison."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.cluster import Cluster, Servers
from tests.support.daemon import Daemon
from tests.support.waiting import wait_until
from tests.waits.proxy import FaultyProxy
from tests.waits.runs import Place, Run, carry_out, drawn, faults_of, rows

COORDINATORS, SLOTS = 2, 24
CALM_SECONDS = 60.0
"""Within which every part of a log that is under way is stored once nothing is killed any more."""
LONGEST_GAP_SECONDS = 1.5
"""Between a kill and the next start."""


@dataclass
class Report:
    """What was done, and what was found."""

    seed: int
    runs: list[Run] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        """For people."""
        commands = Counter(run.command for run in self.runs)
        states = Counter(state for run in self.runs for state in run.states_at_its_end)
        rows = [
            f"seed {self.seed}",
            *(f"{count:6}  torkctl {command}" for command, count in sorted(commands.items())),
            f"{len(self.runs):6}  runs in {self.seconds:.0f} s",
            "",
            *(f"{count:6}  jobs {state}" for state, count in sorted(states.items())),
            f"{self.lines:6}  lines of logs compared",
            f"{sum(run.cut_short for run in self.runs):6}  logs of cancelled tasks with lines that came after the job's end was told",
            "",
            *(f"{count:6}  connections {what}" for what, count in sorted(self.faults.items())),
            *(f"{count:6}  kill -9 of {what}" for what, count in sorted(self.kills.items())),
            "",
            f"{len(self.wrong):6}  wrong (another exit code than the database has, a line lost, doubled or misplaced, no end)",
        ]
        return "\n".join([*rows, *self.wrong[:30]])


def run_proof(
    servers: Servers,
    directory: Path,
    *,
    runs: int,
    beside_each_other: int,
    half_open_seconds: float,
    longest_peace_seconds: float,
    seed: int,
    tell: Callable[[str], None],
) -> Report:
    """So many runs; between two kills there is peace for at most so long."""
    report, started = Report(seed), time.monotonic()
    with _a_cluster(servers) as cluster:
        ports = [daemon.port for daemon in cluster.coordinators]
        with FaultyProxy(ports, seed=seed, half_open_seconds=half_open_seconds) as proxy:
            place = Place(
                directory=directory, endpoint=proxy.endpoint, coordinators=cluster.coordinators, dsn=cluster.dsn
            )

            def one(number: int) -> Run:
                chance = random.Random(f"{seed} run {number}")
                run = drawn(number, chance)
                carry_out(run, place, chance)
                tell(f"{time.monotonic() - started:5.0f} s  {run.title}: {run.code} after {run.seconds:.1f} s")
                return run

            kills = _killing(cluster, report, random.Random(seed), longest_peace_seconds, tell)
            with kills, ThreadPoolExecutor(beside_each_other) as threads:
                report.runs = list(threads.map(one, range(1, runs + 1)))
            report.faults = proxy.done
        _await_calm(cluster)
        report.wrong += [fault for run in report.runs for fault in faults_of(run, place)]
        if report.wrong:
            tell(cluster.told())
    report.lines = sum(run.out.count(b"\n") for run in report.runs if run.shows_logs)
    report.seconds = time.monotonic() - started
    return report


@contextmanager
def _a_cluster(servers: Servers) -> Iterator[Cluster]:
    with Cluster(servers) as cluster:
        for _ in range(COORDINATORS):
            cluster.start_coordinator(wait=False)
        cluster.start_worker(slots=SLOTS, wait=False)
        cluster.wait_until_up()
        yield cluster


@contextmanager
def _killing(
    cluster: Cluster, report: Report, chance: random.Random, longest_peace_seconds: float, tell: Callable[[str], None]
) -> Iterator[None]:
    """While the body runs everything behind the proxy is killed, one after the other in an order drawn again and again."""
    over = threading.Event()
    failed: list[BaseException] = []

    def kill_on() -> None:
        while not over.is_set():
            kills = list(KILLS)
            chance.shuffle(kills)
            for what in kills:
                if over.wait(chance.uniform(0, longest_peace_seconds)):
                    return
                tell(f"         kill -9 of {what}")
                KILLS[what](cluster, chance)
                report.kills[what] += 1

    def guarded() -> None:
        try:
            kill_on()
        except BaseException as error:  # noqa: BLE001 - the body's thread raises it again
            failed.append(error)

    thread = threading.Thread(target=guarded, name="kills")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]


def _await_calm(cluster: Cluster) -> None:
    cluster.wait_until_up()
    going_on = "SELECT id FROM jobs WHERE state IN ('PENDING', 'SCHEDULED', 'RUNNING')"
    wait_until(lambda: not rows(cluster.dsn, going_on, []), timeout=CALM_SECONDS, describe=cluster.told)
    wait_until(lambda: _queues_are_empty(cluster), timeout=CALM_SECONDS, describe=cluster.told)


def _queues_are_empty(cluster: Cluster) -> bool:
    queues = cluster.coordinators[0].call("GET", "/queues")
    return not any(queue["size"] or queue["unacked"] for queue in queues)


def _kill_a_coordinator(cluster: Cluster, chance: random.Random) -> None:
    _kill(cluster, chance, chance.choice(cluster.coordinators))


def _kill_all_coordinators(cluster: Cluster, chance: random.Random) -> None:
    _kill(cluster, chance, *cluster.coordinators)


def _kill(cluster: Cluster, chance: random.Random, *daemons: Daemon) -> None:
    for daemon in daemons:
        cluster.kill(daemon)
    time.sleep(chance.uniform(0, LONGEST_GAP_SECONDS))
    for daemon in daemons:
        daemon.start()


def _kill_an_api(cluster: Cluster, chance: random.Random) -> None:
    for process in chance.choice(cluster.coordinators).children("server"):
        process.kill()


def _kill_the_broker(cluster: Cluster, chance: random.Random) -> None:
    cluster.stop_broker()
    time.sleep(chance.uniform(0, LONGEST_GAP_SECONDS))
    cluster.start_broker()


def _kill_the_database(cluster: Cluster, chance: random.Random) -> None:
    cluster.restart_postgres()


KILLS: dict[str, Callable[[Cluster, random.Random], None]] = {
    "a coordinator": _kill_a_coordinator,
    "all coordinators": _kill_all_coordinators,
    "a process that serves the API": _kill_an_api,
    "RabbitMQ": _kill_the_broker,
    "PostgreSQL": _kill_the_database,
}
