"""Coordinators and workers as real processes over a real PostgreSQL and RabbitMQ, and everything that can happen to them.

The servers of a run are shared by its clusters; each cluster has a database and a virtual host of its own. What it has started
is gone at its end.
"""

from __future__ import annotations

import http.client
import os
import urllib.error
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.daemon import Daemon
from tests.support.engines import shared_server
from tests.support.postgres import PostgresServer
from tests.support.rabbitmq import RabbitMQServer
from tests.support.waiting import wait_until

LEASE_SECONDS = 3.0
SETTINGS = {
    "TORK_BROKER_TYPE": "rabbitmq",
    "TORK_WORKER_LEASE": f"{LEASE_SECONDS:g}s",
    "TORK_WORKER_HEARTBEAT": "500ms",
    "TORK_RUNTIME_TYPE": "shell",
    "TORK_DATASTORE_POSTGRES_MAX_OPEN_CONNS": "10",
}
TWO_TASKS = {
    "name": "two tasks",
    "tasks": [
        {"name": "first", "run": 'echo -n one > "$TORK_OUTPUT"', "var": "first"},
        {
            "name": "second",
            "env": {"FIRST": "{{ tasks.first }}"},
            "run": 'echo -n "$FIRST and two" > "$TORK_OUTPUT"',
            "var": "second",
        },
    ],
    "output": "{{ tasks.second }}",
}
TWO_TASKS_RESULT = "one and two"


@dataclass(frozen=True, kw_only=True)
class Servers:
    """What clusters stand on. Commits survive a kill, so nothing that was accepted may be missing afterwards."""

    postgres: PostgresServer
    rabbitmq: RabbitMQServer

    @classmethod
    @contextmanager
    def start(cls, *, binaries: Path | None = None) -> Iterator[Servers]:
        """Servers that nobody else uses, for as long as the block lasts. `binaries` are PostgreSQL's."""
        with (
            shared_server("rabbitmq", own=f"own{os.getpid()}") as base,  # the same as `own_rabbitmq_server`
            PostgresServer.start(binaries=binaries, tcp=True, survives=True) as postgres,
        ):
            yield cls(postgres=postgres, rabbitmq=RabbitMQServer.of(base))


class Cluster:
    """Daemons that know each other. A context manager."""

    def __init__(self, servers: Servers, settings: Mapping[str, str] | None = None) -> None:
        """`settings` are environment variables for all of them."""
        self.servers = servers
        self.virtual_host = f"c{uuid.uuid4().hex[:12]}"
        servers.rabbitmq.make_virtual_host(self.virtual_host)
        self.dsn = servers.postgres.create_database()
        self.settings = {
            **SETTINGS,
            "TORK_BROKER_RABBITMQ_URL": servers.rabbitmq.url(self.virtual_host),
            "TORK_BROKER_RABBITMQ_MANAGEMENT_URL": servers.rabbitmq.management_url,
            "TORK_DATASTORE_POSTGRES_DSN": self.dsn,
            **(settings or {}),
        }
        self.coordinators: list[Daemon] = []
        self.workers: list[Daemon] = []
        self._undo = ExitStack()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._undo:
            self._undo.callback(self.servers.postgres.drop_database, self.dsn)
            self._undo.callback(self._remove_virtual_host)
            for daemon in (*self.workers, *self.coordinators):
                self._undo.push(daemon)

    def _remove_virtual_host(self) -> None:
        try:
            self.servers.rabbitmq.remove_virtual_host(self.virtual_host)
        except RuntimeError:
            pass  # it was wiped

    # -- daemons ---------------------------------------------------------------------------------------------------

    def start_coordinator(
        self,
        *,
        processes: int = 1,
        wait: bool = True,
        settings: Mapping[str, str] | None = None,
        command: tuple[str, ...] = ("-m", "torkd"),
    ) -> Daemon:
        """One more, with so many processes; UP when this returns, unless it is not waited for."""
        more = {"TORK_COORDINATOR_PROCESSES": str(processes), **(settings or {})}
        return self._start(Daemon({**self.settings, **more}, command, mode="coordinator"), self.coordinators, wait=wait)

    def start_worker(
        self,
        *,
        slots: int = 4,
        wait: bool = True,
        data: Path | None = None,
        settings: Mapping[str, str] | None = None,
        command: tuple[str, ...] = ("-m", "torkd"),
    ) -> Daemon:
        """One more, with so many slots on the default queue. Workers with the same `data` directory are of one host."""
        more = {"TORK_WORKER_QUEUES_DEFAULT": str(slots), **(settings or {})}
        if data is not None:
            more["TORK_DATA_DIR"] = str(data)
        known = {name: value for name, value in self.settings.items() if "DATASTORE" not in name}
        return self._start(Daemon({**known, **more}, command, mode="worker"), self.workers, wait=wait)

    def _start(self, daemon: Daemon, among: list[Daemon], *, wait: bool) -> Daemon:
        among.append(daemon)
        daemon.start(wait=wait)
        return daemon

    def wait_until_up(self) -> None:
        """Return when all are."""
        for daemon in (*self.coordinators, *self.workers):
            wait_until(daemon.is_up, timeout=30, describe=self.told)

    def kill(self, daemon: Daemon) -> None:
        """kill -9 of a daemon and all it has started, as when its machine loses power. `daemon.start()` starts it again."""
        daemon.kill()

    def freeze(self, daemon: Daemon) -> None:
        """SIGSTOP of all of it."""
        daemon.freeze()

    def resume(self, daemon: Daemon) -> None:
        """SIGCONT of all of it."""
        daemon.resume()

    # -- servers ---------------------------------------------------------------------------------------------------

    def stop_broker(self) -> None:
        """kill -9 of RabbitMQ."""
        self.servers.rabbitmq.kill()

    def start_broker(self) -> None:
        """Start it again. A virtual host that was made shortly before a kill is forgotten."""
        self.servers.rabbitmq.launch_again()
        self.servers.rabbitmq.make_virtual_host(self.virtual_host)

    def restart_broker(self) -> None:
        """kill -9, and start it again."""
        self.stop_broker()
        self.start_broker()

    def wipe_broker(self) -> None:
        """The same, and all that it held is gone."""
        self.stop_broker()
        self.servers.rabbitmq.wipe()
        self.start_broker()

    def restart_postgres(self) -> None:
        """kill -9 of PostgreSQL; returns when it is back."""
        self.servers.postgres.restart()

    # -- jobs ------------------------------------------------------------------------------------------------------

    def submit_all(self, jobs: Sequence[Mapping[str, Any]], *, clients: int = 8) -> list[str]:
        """Submit to all coordinators in turn; the ids, in the order of the jobs."""
        with ThreadPoolExecutor(clients) as threads:
            return list(
                threads.map(
                    lambda numbered: self.coordinators[numbered[0] % len(self.coordinators)].submit(numbered[1]),
                    enumerate(jobs),
                )
            )

    def count(self, state: str, daemon: Daemon | None = None) -> int:
        """How many jobs are in that state; -1 when nobody can say."""
        try:
            answer = (daemon or self.coordinators[0]).call("GET", f"/jobs?size=1&state={state}")
        except urllib.error.HTTPError as error:
            error.close()
            return -1
        except (OSError, http.client.HTTPException):
            return -1
        return int(answer["totalItems"])

    def wait_for_count(self, least: int, state: str = "COMPLETED", *, within: float = 60) -> None:
        """Return when so many jobs are in that state."""
        wait_until(lambda: self.count(state) >= least, timeout=within, describe=self.told)

    def states(self, job_ids: Sequence[str]) -> Counter[str]:
        """How many of these jobs are in which state."""
        return Counter(self.coordinators[0].job(job_id)["state"] for job_id in job_ids)

    def nodes(self) -> list[Any]:
        """Who was heard of lately."""
        found: list[Any] = self.coordinators[0].call("GET", "/nodes")
        return found

    def told(self) -> str:
        """The ends of all logs."""
        return "\n".join(
            f"--- {daemon.mode} {daemon.base}\n{daemon.told()[-2500:]}"
            for daemon in (*self.coordinators, *self.workers)
        )


MakeCluster = Callable[..., Cluster]
