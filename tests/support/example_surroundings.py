"""What examples with containers find around them on a user's machine: files on the web, MinIO, a network, a directory for films.

Everything is on the engine, made with its API, and gone at the end.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.engine_api import EngineApi, EngineRefused
from tests.support.waiting import wait_until

PICTURE = "P3\n4 2\n255\n" + "".join(f"{shade} 0 0\n" for shade in range(8))
FILM = "".join(f"{second} V frame {second}\n{second} A note {second}\n" for second in range(6))
REPOSITORY = {
    "pyproject.toml": 'name = "pkg"\n',
    "src/pkg/greeting": "hello\n",
    "tests/test_greeting.sh": '[ "$(cat "$LIBRARY/pkg/greeting")" = hello ]\n',
}
NETWORKS = ("storage", "tork-example")
CONTAINERS = ("web", "minio")


class Surroundings:
    """As a context: there inside of it."""

    def __init__(self, api: EngineApi, base: Path) -> None:
        self._api = api
        self._files = base / "web"
        self.films = base / "films"
        self.web = ""
        """Where containers on the default network find the files."""

    def __enter__(self) -> Surroundings:
        self._remove()
        self._files.mkdir(parents=True)
        (self._files / "cat.jpg").write_text(PICTURE)
        (self._files / "film.mp4").write_text(FILM)
        (self._files / "main.tar").write_bytes(_packed(REPOSITORY))
        for network in NETWORKS:
            self._api.create_network(network)
        self._run("web", "alpine:3.21", ["httpd", "-f", "-p", "8000", "-h", "/srv"], binds=[f"{self._files}:/srv:ro"])
        self._run(
            "minio",
            "minio/minio:RELEASE.2025-04-22T22-12-26Z",
            ["server", "/data"],
            env=["MINIO_ROOT_USER=minioadmin", "MINIO_ROOT_PASSWORD=change-me"],
            network="storage",
        )
        self.web = f"http://{self._address('web')}:8000"
        wait_until(lambda: b"API:" in self._api.call("GET", "/containers/minio/logs", {"stdout": "true"}))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()
        shutil.rmtree(self._files.parent, ignore_errors=True)

    def _run(
        self,
        name: str,
        image: str,
        command: list[str],
        *,
        binds: list[str] | None = None,
        env: list[str] | None = None,
        network: str = "",
    ) -> None:
        host = {"Binds": binds or [], **({"NetworkMode": network} if network else {})}
        endpoints = {"EndpointsConfig": {network: {"Aliases": [name]}}} if network else {}
        body = {"Image": image, "Cmd": command, "Env": env or [], "HostConfig": host, "NetworkingConfig": endpoints}
        self._call(f"/containers/create?name={name}", body)
        self._call(f"/containers/{name}/start", {})

    def _address(self, name: str) -> str:
        found: dict[str, Any] = json.loads(self._api.call("GET", f"/containers/{name}/json"))["NetworkSettings"]
        return str(next(iter(found["Networks"].values()))["IPAddress"])

    def _call(self, path: str, body: dict[str, Any]) -> None:
        self._api.call("POST", path, body=json.dumps(body).encode(), headers={"Content-Type": "application/json"})

    def _remove(self) -> None:
        for path in (
            *(f"/containers/{name}?force=true&v=true" for name in CONTAINERS),
            *(f"/networks/{name}" for name in NETWORKS),
        ):
            try:
                self._api.call("DELETE", path)
            except EngineRefused as refusal:
                if " 404 " not in str(refusal):
                    raise


def _packed(files: dict[str, str]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as packed:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            packed.addfile(entry, io.BytesIO(text.encode()))
    return archive.getvalue()
