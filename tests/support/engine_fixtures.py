"""Fixtures for tests that need containers: each engine runs as long as the test run, and is shared by its workers.

What is missing on the machine skips the test at home, and fails it in CI, as every skip does.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support import docker_engine as docker
from tests.support import podman_engine as podman
from tests.support import registry as registries
from tests.support.engines import ContainerEngine, shared_server
from tests.support.images import BUSYBOX
from tests.support.registry import PORT_FILE, Registry


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[ContainerEngine]:
    """Docker with the test images."""
    _need([*docker.PROGRAMS, BUSYBOX], as_root=True)
    with shared_server("docker") as base:
        yield ContainerEngine(name="docker", variable="DOCKER_HOST", base=base)


@pytest.fixture(scope="session")
def podman_engine() -> Iterator[ContainerEngine]:
    """Podman, at a socket, with the test images."""
    _need([*podman.PROGRAMS, BUSYBOX], as_root=True)
    with shared_server("podman") as base:
        yield ContainerEngine(name="podman", variable="CONTAINER_HOST", base=base)


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("docker_engine", id="docker", marks=pytest.mark.docker),
        pytest.param("podman_engine", id="podman", marks=pytest.mark.podman),
    ],
)
def container_engine(request: pytest.FixtureRequest) -> ContainerEngine:
    """Each of the engines in turn."""
    engine: ContainerEngine = request.getfixturevalue(request.param)
    return engine


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """A private registry on loopback, empty."""
    _need(registries.PROGRAMS)
    with shared_server("registry") as base:
        yield Registry(host=f"127.0.0.1:{(base / PORT_FILE).read_text()}")


def _need(programs: Sequence[str], *, as_root: bool = False) -> None:
    missing = [program for program in programs if shutil.which(program) is None and not Path(program).exists()]
    if missing:
        pytest.skip(f"missing: {', '.join(missing)} (`make servers` installs them on Debian)")
    if as_root and os.geteuid() != 0:
        pytest.skip("starting a container engine of its own takes root")
