"""What a container engine does without us: a container made, started, waited for and removed, and nothing else."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker

from tests.support.engines import ContainerEngine

COMMAND = ["sh", "-c", "true"]
_PODMAN_WAIT = "/v4.0.0/libpod/containers/{id}/wait"


class BareContainers:
    """Through the same SDK and the same socket that the product uses."""

    def __init__(self, engine: ContainerEngine, image: str) -> None:
        self._client: Any = docker.APIClient(base_url=engine.url, version="auto", timeout=60)
        self._is_podman = engine.name == "podman"
        self._image = image

    def step_ms(self, count: int) -> float:
        """One after the other; milliseconds each."""
        started = time.perf_counter()
        for _ in range(count):
            self._run()
        return (time.perf_counter() - started) / count * 1000

    def per_second(self, count: int, at_once: int) -> float:
        """So many at a time."""
        started = time.perf_counter()
        with ThreadPoolExecutor(at_once) as threads:
            for _ in threads.map(lambda _: self._run(), range(count)):
                pass
        return count / (time.perf_counter() - started)

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def _run(self) -> None:
        container = self._client.create_container(self._image, COMMAND)["Id"]
        self._client.start(container)
        code = self._wait(container)
        self._client.remove_container(container, v=True, force=True)
        if code != 0:
            raise RuntimeError(f"{COMMAND} ended with {code} in a container of {self._image}")

    def _wait(self, container: str) -> int:
        if not self._is_podman:
            return int(self._client.wait(container)["StatusCode"])
        # Its imitation of Docker's wait may never see the end of a container that is done at once.
        url = f"{self._client.base_url}{_PODMAN_WAIT.format(id=container)}"
        asked = [("condition", "stopped"), ("condition", "exited"), ("interval", "100ms")]
        answer = self._client.post(url, params=asked)
        answer.raise_for_status()
        return int(answer.text)
