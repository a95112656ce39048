"""What is done to a cluster while it works. Each fault leaves everything running again, however long it takes to recover."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.chaos import unreliable
from tests.chaos.proxy import Wire
from tests.support.cluster import LEASE_SECONDS, Cluster, Servers
from tests.support.daemon import Daemon

ROOT = Path(__file__).parents[2]
COORDINATORS, WORKERS, SLOTS = 2, 3, 4
LONGEST_GAP_SECONDS = 2.0
"""Between a kill and the next start."""
LONG_LOG_LINES = 200_000
DEATH_CHANCE = 0.002
"""How likely one of the two unreliable daemons dies at each of the places where something is half done."""
TWICE_CHANCE = 0.1


@dataclass
class Ring:
    """A cluster whose wires can be cut, and the notes of processes that died by themselves."""

    cluster: Cluster
    chance: random.Random
    deaths: Path
    broker_wires: dict[int, Wire] = field(default_factory=dict)
    database_wires: dict[int, Wire] = field(default_factory=dict)
    """By the process of a daemon's place in its list."""

    @property
    def daemons(self) -> list[Daemon]:
        """All of them."""
        return [*self.cluster.coordinators, *self.cluster.workers]

    def died(self) -> int:
        """How many processes have died at an injected point."""
        try:
            return len(self.deaths.read_text().splitlines())
        except FileNotFoundError:
            return 0

    def gap(self) -> None:
        """Wait a while, as whoever restarts things does."""
        time.sleep(self.chance.uniform(0, LONGEST_GAP_SECONDS))


@contextmanager
def a_ring(servers: Servers, directory: Path, seed: int) -> Iterator[Ring]:
    """Coordinators and workers, one of each unreliable and the others behind wires."""
    deaths = directory / "deaths"
    with ExitStack() as undo:
        cluster = undo.enter_context(Cluster(servers, {"TORK_WORKER_DRAIN": "5s"}))
        ring = Ring(cluster, random.Random(seed), deaths)
        fragile = {
            "PYTHONPATH": str(ROOT),
            unreliable.DEATHS: str(deaths),
            unreliable.DEATH_CHANCE: str(DEATH_CHANCE),
            unreliable.TWICE_CHANCE: str(TWICE_CHANCE),
        }
        for number in range(COORDINATORS):
            settings, command = (fragile, "tests.chaos.unreliable") if number == 0 else ({}, "torkd")
            if number:
                wire = ring.database_wires[number] = undo.enter_context(Wire(_port_of_database(cluster)))
                settings = {"TORK_DATASTORE_POSTGRES_DSN": make_conninfo(cluster.dsn, port=wire.port)}
            cluster.start_coordinator(settings=settings, command=("-m", command), wait=False)
        for number in range(WORKERS):
            settings, command = (fragile, "tests.chaos.unreliable") if number == 0 else ({}, "torkd")
            if number:
                wire = ring.broker_wires[number] = undo.enter_context(Wire(_port_of_broker(cluster)))
                settings = {"TORK_BROKER_RABBITMQ_URL": _through(cluster, wire)}
            settings = {**settings, "TORK_WORKER_QUEUES_OTHER": "2"}
            cluster.start_worker(slots=SLOTS, settings=settings, command=("-m", command), wait=False)
        cluster.wait_until_up()
        yield ring


def _port_of_database(cluster: Cluster) -> int:
    return int(str(conninfo_to_dict(cluster.dsn)["port"]))


def _port_of_broker(cluster: Cluster) -> int:
    port = urlsplit(cluster.settings["TORK_BROKER_RABBITMQ_URL"]).port
    assert port is not None
    return port


def _through(cluster: Cluster, wire: Wire) -> str:
    url = str(cluster.settings["TORK_BROKER_RABBITMQ_URL"])
    return url.replace(f":{_port_of_broker(cluster)}/", f":{wire.port}/")


def kill_worker(ring: Ring) -> None:
    """kill -9 of a worker and all its scripts' parents; started again after a while."""
    _kill(ring, ring.chance.choice(ring.cluster.workers))


def kill_coordinator(ring: Ring) -> None:
    """kill -9 of a coordinator."""
    _kill(ring, ring.chance.choice(ring.cluster.coordinators))


def kill_all_coordinators(ring: Ring) -> None:
    """Nobody is left who could answer."""
    _kill(ring, *ring.cluster.coordinators)


def kill_everything(ring: Ring) -> None:
    """All daemons at once."""
    _kill(ring, *ring.daemons)


def freeze_worker(ring: Ring) -> None:
    """SIGSTOP for longer than a lease: its tasks run again elsewhere, and then it goes on as if nothing had happened."""
    _freeze(ring, ring.chance.choice(ring.cluster.workers))


def freeze_coordinator(ring: Ring) -> None:
    """The same for a coordinator, which may hold locks."""
    _freeze(ring, ring.chance.choice(ring.cluster.coordinators))


def restart_broker(ring: Ring) -> None:
    """kill -9 of RabbitMQ."""
    ring.cluster.stop_broker()
    ring.gap()
    ring.cluster.start_broker()


def wipe_broker(ring: Ring) -> None:
    """RabbitMQ comes back with nothing of what it held."""
    ring.cluster.wipe_broker()


def restart_database(ring: Ring) -> None:
    """kill -9 of PostgreSQL."""
    ring.cluster.restart_postgres()


def cut_worker_from_broker(ring: Ring) -> None:
    """Nothing goes through for two leases."""
    _cut(ring.chance.choice(list(ring.broker_wires.values())), 2 * LEASE_SECONDS)


def cut_coordinator_from_database(ring: Ring) -> None:
    """Nothing goes through for two leases; perhaps in the midst of a transaction."""
    _cut(ring.chance.choice(list(ring.database_wires.values())), 2 * LEASE_SECONDS)


def fill_the_log_queue(ring: Ring) -> None:
    """A task prints without end while nobody stores logs."""
    script = f"i=0; while [ $i -lt {LONG_LOG_LINES} ]; do i=$((i+1)); echo line $i of a long log; done"
    job: dict[str, Any] = {"name": "long log", "tasks": [{"name": "print", "run": script}]}
    try:
        ring.chance.choice(ring.cluster.coordinators).submit(job)
    except OSError:
        return  # somebody died by himself just now
    for daemon in ring.cluster.coordinators:
        ring.cluster.freeze(daemon)
    time.sleep(LEASE_SECONDS)
    for daemon in ring.cluster.coordinators:
        ring.cluster.resume(daemon)


FAULTS: dict[Callable[[Ring], None], int] = {
    kill_worker: 5,
    kill_coordinator: 4,
    kill_all_coordinators: 1,
    kill_everything: 1,
    freeze_worker: 2,
    freeze_coordinator: 2,
    restart_broker: 1,
    wipe_broker: 1,
    restart_database: 1,
    cut_worker_from_broker: 1,
    cut_coordinator_from_database: 1,
    fill_the_log_queue: 1,
}
"""How often each comes in a round."""


def a_round(chance: random.Random) -> list[Callable[[Ring], None]]:
    """All faults of a round, in a random order."""
    faults = [fault for fault, count in FAULTS.items() for _ in range(count)]
    chance.shuffle(faults)
    return faults


def _kill(ring: Ring, *daemons: Daemon) -> None:
    for daemon in daemons:
        ring.cluster.kill(daemon)
    ring.gap()
    for daemon in daemons:
        daemon.start(wait=False)


def _freeze(ring: Ring, daemon: Daemon) -> None:
    ring.cluster.freeze(daemon)
    time.sleep(1.5 * LEASE_SECONDS)
    ring.cluster.resume(daemon)


def _cut(wire: Wire, seconds: float) -> None:
    wire.cut()
    time.sleep(seconds)
    wire.mend()
