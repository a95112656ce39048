"""What systemd hears from the real daemon: READY only when it serves, that it lives, and that it stops."""

from __future__ import annotations

import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.waiting import wait_until


class Systemd:
    """The socket that a service manager would listen on."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self.heard: list[str] = []

    def hears(self, state: str) -> bool:
        """Read what has come; whether this was among it."""
        self._channel.setblocking(False)
        while True:
            try:
                self.heard.append(self._channel.recv(4096).decode())
            except BlockingIOError:
                return state in "\n".join(self.heard).splitlines()


@pytest.fixture
def systemd() -> Iterator[tuple[Systemd, str]]:
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        path = str(Path(directory) / "notify")
        channel.bind(path)
        yield Systemd(channel), path


def test_ready_comes_when_it_serves_then_signs_of_life_then_stopping(systemd: tuple[Systemd, str]) -> None:
    manager, path = systemd
    daemon = Daemon({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1500000"})
    try:
        daemon.start(wait=False)
        wait_until(lambda: manager.hears("READY=1"), timeout=30, describe=daemon.told)
        # At once, without trying again: who is told READY may count on it.
        assert daemon.call("GET", "/health")["status"] == "UP"
        job_id = daemon.submit({"name": "x", "tasks": [{"name": "env", "run": "echo sock=[$NOTIFY_SOCKET]"}]})
        daemon.wait(job_id)
        assert daemon.log_text(job_id) == "sock=[]\n"
        count = manager.heard.count("WATCHDOG=1")
        wait_until(lambda: manager.hears("WATCHDOG=1") and manager.heard.count("WATCHDOG=1") > count)
        assert "STOPPING=1" not in manager.heard
        assert daemon.stop() == 0
        assert manager.hears("STOPPING=1")
        assert manager.heard.count("READY=1") == 1
    finally:
        daemon.__exit__(None, None, None)


def test_a_start_that_fails_never_says_ready(systemd: tuple[Systemd, str]) -> None:
    manager, path = systemd
    settings = {"NOTIFY_SOCKET": path, "TORK_DATASTORE_POSTGRES_DSN": "host=127.0.0.1 port=9 connect_timeout=2"}
    daemon = Daemon(settings)
    try:
        daemon.start(wait=False)
        assert daemon.process.wait(timeout=40) != 0
        assert not manager.hears("READY=1")
    finally:
        daemon.__exit__(None, None, None)


def test_the_watchdog_is_fed_while_a_long_drain_lasts(systemd: tuple[Systemd, str]) -> None:
    manager, path = systemd
    settings = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1500000", "TORK_WORKER_DRAIN": "10m"}
    with Daemon({**settings, "TORK_WORKER_GRACE": "200ms"}) as daemon:
        job_id = daemon.submit({"name": "long", "tasks": [{"name": "a", "run": "echo started; sleep 600"}]})
        wait_until(lambda: "started" in daemon.log_text(job_id), describe=daemon.told)
        daemon.process.send_signal(signal.SIGTERM)
        wait_until(lambda: manager.hears("STOPPING=1"), describe=daemon.told)
        count = manager.heard.count("WATCHDOG=1")
        wait_until(lambda: manager.hears("WATCHDOG=1") and manager.heard.count("WATCHDOG=1") > count + 1)
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(timeout=30) == 0


@pytest.mark.parametrize("mode", ["coordinator", "worker"])
def test_a_part_of_a_cluster_is_ready_while_its_servers_are_away(systemd: tuple[Systemd, str], mode: str) -> None:
    """It waits for them by itself: systemd has no reason to start it again, and a dependency none to wait."""
    manager, path = systemd
    settings = {
        "NOTIFY_SOCKET": path,
        "WATCHDOG_USEC": "1500000",
        "TORK_BROKER_TYPE": "rabbitmq",
        "TORK_BROKER_RABBITMQ_URL": "amqp://127.0.0.1:9/",
        "TORK_DATASTORE_POSTGRES_DSN": "host=127.0.0.1 port=9 connect_timeout=2",
    }
    daemon = Daemon(settings, mode=mode)
    try:
        daemon.start(wait=False)
        wait_until(lambda: manager.hears("READY=1"), timeout=40, describe=daemon.told)
        count = manager.heard.count("WATCHDOG=1")
        wait_until(lambda: manager.hears("WATCHDOG=1") and manager.heard.count("WATCHDOG=1") > count)
        assert "STOPPING=1" not in manager.heard
        assert daemon.stop() == 0, daemon.told()
        assert manager.hears("STOPPING=1")
    finally:
        daemon.__exit__(None, None, None)
