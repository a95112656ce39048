"""A private registry on loopback, with one user, that has one image."""

from __future__ import annotations

import base64
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.support.postgres import free_port
from tests.support.server_process import start_server, stop_server

PROGRAMS = ("docker-registry",)
_PASSWORD_HASH = "$2b$05$abcdefghijklmnopqrstuuKcS.CYWVYVaLiiCKrrc0A5s3mGesJ9O"
"""bcrypt of the password; the registry knows nothing else."""
PORT_FILE = "port"


@dataclass(frozen=True, kw_only=True)
class Registry:
    """A running one."""

    USERNAME: ClassVar[str] = "ali"
    PASSWORD: ClassVar[str] = "sesame"

    host: str
    """Address and port, as images' names begin."""

    def image(self, name: str) -> str:
        """The reference of an image in it."""
        return f"{self.host}/{name}"

    @staticmethod
    def auth_header(username: str = USERNAME, password: str = PASSWORD) -> str:
        """What engines want in `X-Registry-Auth`."""
        return base64.urlsafe_b64encode(json.dumps({"username": username, "password": password}).encode()).decode()

    @staticmethod
    def auth_entry(username: str = USERNAME, password: str = PASSWORD) -> dict[str, str]:
        """What `docker login` writes for it."""
        return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def start(base: Path) -> None:
    """Start it in this directory."""
    port = free_port()
    (base / "htpasswd").write_text(f"{Registry.USERNAME}:{_PASSWORD_HASH}\n")
    (base / "config.yml").write_text(
        f"""version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {base}/data}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: tests, path: {base}/htpasswd}}}}
"""
    )
    start_server(base, ["docker-registry", "serve", str(base / "config.yml")], ready=lambda: _answers(port))
    (base / PORT_FILE).write_text(str(port))


def end(base: Path) -> None:
    """Stop it."""
    stop_server(base)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
