"""The HTTP API of a container engine at its socket, as tests look behind the product's back: no SDK, none of its code."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode


class EngineRefused(AssertionError):
    """The engine answered with an error."""


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class EngineApi:
    """Requests to one engine."""

    def __init__(self, socket_path: str) -> None:
        self._path = socket_path

    def call(
        self,
        method: str,
        path: str,
        query: dict[str, str | Sequence[str]] | None = None,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> bytes:
        """One request; the body of the answer. Raises `EngineRefused` for a status of 400 or more, `OSError` when nobody answers."""
        connection = _SocketConnection(self._path, timeout=60)
        try:
            target = f"{path}?{urlencode(query, doseq=True)}" if query else path
            connection.request(method, target, body=body, headers=headers or {})
            answer = connection.getresponse()
            data = answer.read()
            if answer.status >= 400:
                raise EngineRefused(f"{method} {target}: {answer.status} {data.decode(errors='replace').strip()}")
            return data
        finally:
            connection.close()

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            self.call("GET", "/_ping")
        except (OSError, http.client.HTTPException, EngineRefused):
            return False
        return True

    def load_images(self, archive: bytes) -> None:
        """Take in the images of an archive such as `docker save` makes."""
        answer = self.call("POST", "/images/load", {"quiet": "1"}, archive, {"Content-Type": "application/x-tar"})
        for line in answer.splitlines():
            if line.strip() and "error" in json.loads(line):
                raise EngineRefused(f"load of images: {json.loads(line)['error']}")

    def tag_image(self, image: str, name: str) -> None:
        """Give an image one more name, `repository:tag`."""
        repository, _, tag = name.rpartition(":")
        self.call("POST", f"/images/{quote(image, safe='')}/tag", {"repo": repository, "tag": tag})

    def push_image(self, name: str, credentials: str) -> None:
        """Push it to the registry that its name begins with; `credentials` is the value of `X-Registry-Auth`."""
        repository, _, tag = name.rpartition(":")
        answer = self.call(
            "POST",
            f"/images/{quote(repository, safe='/:')}/push",
            {"tag": tag},
            headers={"X-Registry-Auth": credentials},
        )
        for line in answer.splitlines():
            if line.strip() and "error" in json.loads(line):
                raise EngineRefused(f"push of {name}: {json.loads(line)['error']}")

    def remove_image(self, name: str) -> None:
        """Remove this name of an image, and the image with its last one."""
        self.call("DELETE", f"/images/{quote(name, safe='/:')}", {"force": "true"})

    def create_network(self, name: str) -> None:
        """Make a bridge network."""
        body = json.dumps({"Name": name, "Driver": "bridge"}).encode()
        self.call("POST", "/networks/create", body=body, headers={"Content-Type": "application/json"})

    def left_with(self, label: str) -> list[str]:
        """The names of the containers, volumes and networks that carry a label, given as `name=value` or `name`."""
        query: dict[str, str | Sequence[str]] = {"filters": json.dumps({"label": [label]})}
        containers: list[dict[str, Any]] = json.loads(self.call("GET", "/containers/json", {"all": "true", **query}))
        volumes: dict[str, Any] = json.loads(self.call("GET", "/volumes", query))
        networks: list[dict[str, Any]] = json.loads(self.call("GET", "/networks", query))
        return [
            *(str(container["Names"][0]) for container in containers),
            *(str(volume["Name"]) for volume in volumes.get("Volumes") or []),
            *(str(network["Name"]) for network in networks),
        ]
