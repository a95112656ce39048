"""A RabbitMQ of the test run's own: its node, its ports and its files are beside others on the machine, and go with the run.

A test has a virtual host for itself. Tests that restart or kill the server share another one, which nobody else uses.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psutil

from tests.support.certificates import CA_FILE, CERTIFICATE_FILE, HOST, KEY_FILE, make_certificates
from tests.support.server_process import PID_FILE, start_server
from tests.support.waiting import wait_until

PROGRAMS = Path("/usr/lib/rabbitmq/bin")
"""Not those on PATH, which change the user."""
PLACE_FILE = "place.json"
USER = PASSWORD = "guest"
PORTS = ("port", "management_port", "epmd_port", "distribution_port", "tls_port")


_STARTED: list[subprocess.Popen[bytes]] = []
"""Kept, since Python complains of processes that nobody knows any more; the server's keeper ends them."""


@dataclass(frozen=True, kw_only=True)
class RabbitMQServer:
    """A server, running or not."""

    base: Path
    port: int
    management_port: int
    epmd_port: int
    distribution_port: int
    tls_port: int

    @classmethod
    def of(cls, base: Path) -> RabbitMQServer:
        """The one whose files are there."""
        return cls(base=base, **json.loads((base / PLACE_FILE).read_text()))

    @property
    def management_url(self) -> str:
        """Of its management API."""
        return f"http://127.0.0.1:{self.management_port}"

    def url(self, virtual_host: str) -> str:
        """To connect to."""
        return f"amqp://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{quote(virtual_host, safe='')}"

    def tls_url(self, virtual_host: str, host: str = HOST, **query: str) -> str:
        """The same by TLS; `host` is a name of this machine, which the certificate may have or not."""
        place = f"{USER}:{PASSWORD}@{host}:{self.tls_port}/{quote(virtual_host, safe='')}"
        return f"amqps://{place}?{urlencode(query)}"

    @property
    def authority(self) -> Path:
        """The certificate of who has signed the server's."""
        return self.base / CA_FILE

    def make_virtual_host(self, name: str) -> None:
        """A new one, empty."""
        self.api("PUT", f"vhosts/{name}")
        self.api("PUT", f"permissions/{name}/{USER}", {"configure": ".*", "write": ".*", "read": ".*"})

    def remove_virtual_host(self, name: str) -> None:
        """With all that is in it; its connections are closed."""
        self.api("DELETE", f"vhosts/{name}")

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Ask the management API."""
        connection = http.client.HTTPConnection("127.0.0.1", self.management_port, timeout=10)
        try:
            authorization = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            headers = {"Authorization": authorization, "Content-Type": "application/json"}
            connection.request(method, f"/api/{path}", json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode(errors='replace')}")
        return json.loads(text) if text else None

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            self.api("GET", "health/checks/port-listener/" + str(self.port))
        except (OSError, http.client.HTTPException, RuntimeError):
            return False
        return True

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it, the first time or again; returns when it is ready. Its starter has to keep the answer while it runs."""
        return start_server(
            self.base, [str(PROGRAMS / "rabbitmq-server")], ready=self.is_ready, env=self._environment()
        )

    def kill(self) -> None:
        """End it at once, as a loss of power would."""
        process = self._process()
        for one in [*process.children(recursive=True), process]:
            one.kill()
        self._wait_for_end(process)

    def launch_again(self) -> None:
        """Start it for the rest of the run."""
        _STARTED.append(self.launch())

    def settle(self) -> None:
        """Have it write down which queues there are, which it does within two seconds by itself: a kill could lose them."""
        self.control("eval", "mnesia:sync_log().")

    def stop(self) -> None:
        """End it as its service would; takes some seconds."""
        process = self._process()
        self.control("stop")
        self._wait_for_end(process)

    def wipe(self) -> None:
        """Remove all its data. It must not run."""
        shutil.rmtree(self.base / "mnesia")

    def freeze(self) -> None:
        """Let it stand still, all threads of it when this returns; connections stay."""
        process = self._process()
        process.send_signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{process.pid}/task")
        wait_until(lambda: all(_state(task) == "T" for task in tasks.iterdir()))

    def thaw(self) -> None:
        """Let it go on."""
        try:
            self._process().send_signal(signal.SIGCONT)
        except psutil.NoSuchProcess:
            return

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl; takes about two seconds."""
        return subprocess.run(
            [str(PROGRAMS / "rabbitmqctl"), "-q", *arguments],
            env={**os.environ, **self._environment()},
            cwd=self.base,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def connections(self, virtual_host: str) -> list[str]:
        """The names of the connections to a virtual host."""
        return [row["name"] for row in self.api("GET", f"vhosts/{virtual_host}/connections")]

    def close_connections(self, virtual_host: str) -> int:
        """Close all connections to a virtual host, as an operator would; how many that were."""
        names = self.connections(virtual_host)
        for name in names:
            try:
                self.api("DELETE", f"connections/{quote(name, safe='')}")
            except RuntimeError:
                continue  # it has gone by itself
        return len(names)

    def end_name_server(self) -> None:
        """epmd, which outlives the server."""
        subprocess.run(
            ["epmd", "-port", str(self.epmd_port), "-kill"],
            env={**os.environ, "ERL_EPMD_RELAXED_COMMAND_CHECK": "true"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )

    def processes(self) -> list[psutil.Process]:
        """The server's."""
        return [self._process()]

    def _process(self) -> psutil.Process:
        return psutil.Process(int((self.base / PID_FILE).read_text()))

    def _wait_for_end(self, process: psutil.Process) -> None:
        """Its starter may be somebody else, who does not reap it soon."""
        deadline = time.monotonic() + 20
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, "RabbitMQ did not end"
            time.sleep(0.02)

    def _environment(self) -> dict[str, str]:
        base = self.base
        return {
            "HOME": str(base),
            "RUNNING_UNDER_SYSTEMD": "true",  # the server is the process that is started, not a child of a script
            "RABBITMQ_NODENAME": f"t{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "true",
            "RABBITMQ_MNESIA_BASE": f"{base}/mnesia",
            "RABBITMQ_LOG_BASE": f"{base}/log",
            "RABBITMQ_PID_FILE": f"{base}/pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{base}/enabled_plugins",
            "RABBITMQ_CONFIG_FILE": f"{base}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        }


def start(base: Path) -> None:
    """Start it in this directory."""
    place = {key: _lasting_port() for key in PORTS}
    (base / PLACE_FILE).write_text(json.dumps(place))
    (base / "enabled_plugins").write_text("[rabbitmq_management].\n")
    make_certificates(base)
    (base / "rabbitmq.conf").write_text(
        f"""listeners.ssl.default = 127.0.0.1:{place["tls_port"]}
ssl_options.cacertfile = {base / CA_FILE}
ssl_options.certfile = {base / CERTIFICATE_FILE}
ssl_options.keyfile = {base / KEY_FILE}
management.tcp.ip = 127.0.0.1
management.tcp.port = {place["management_port"]}
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.absolute = 1GB
"""
    )
    RabbitMQServer.of(base).launch()


def _state(task: Path) -> str:
    """Of a thread, as the system writes it."""
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


def _lasting_port() -> int:
    """A port that stays free while the server is down.

    One of those that the system gives to clients would not: who connects to it again and again gets it as its own in the end.
    """
    while True:
        port = random.randint(10_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def end(base: Path) -> None:
    """The server itself is killed with all that mentions its directory."""
    if (base / PLACE_FILE).exists():
        RabbitMQServer.of(base).end_name_server()
