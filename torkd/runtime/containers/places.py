"""Finds the engine: where it listens, by the environment and by custom."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from docker.utils import kwargs_from_env

from torkd.runtime.containers.differences import DOCKER, PODMAN
from torkd.runtime.containers.podman_engine import PodmanEngine
from torkd.runtime.containers.podman_service import PodmanService
from torkd.runtime.containers.sdk_engine import Client, SdkEngine, open_client


def docker_engine(environ: Mapping[str, str]) -> SdkEngine:
    """Docker where `DOCKER_HOST` says (with `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`), else on its socket."""
    place = environ.get("DOCKER_HOST") or _docker_socket(environ)

    def connect() -> Client:
        tls = kwargs_from_env(environment=dict(environ)).get("tls", False)
        return open_client(place, tls=tls, use_ssh_client=place.startswith("ssh://"))

    return SdkEngine(connect, place=place, differences=DOCKER)


def podman_engine(environ: Mapping[str, str], directory: Path) -> SdkEngine:
    """Podman where `CONTAINER_HOST` says, else on the socket of its system service, else on one we start in `directory`."""
    usable = (f"unix://{socket}" for socket in _podman_sockets(environ) if os.access(socket, os.R_OK | os.W_OK))
    if place := environ.get("CONTAINER_HOST") or next(usable, ""):
        return PodmanEngine(lambda: open_client(place, use_ssh_client=True), place=place, differences=PODMAN)
    service = PodmanService(directory, environ)

    def connect() -> Client:
        service.start()
        return open_client(service.place)

    return PodmanEngine(connect, place=service.place, differences=PODMAN)


def has_docker(environ: Mapping[str, str]) -> bool:
    """Whether there is something that looks like Docker: an address, or a socket we may use."""
    if environ.get("DOCKER_HOST"):
        return True
    return os.access(_docker_socket(environ).removeprefix("unix://"), os.R_OK | os.W_OK)


def _docker_socket(environ: Mapping[str, str]) -> str:
    usual = Path("/var/run/docker.sock")
    own = Path(environ.get("XDG_RUNTIME_DIR", "/nonexistent"), "docker.sock")
    return f"unix://{own if not usual.exists() and own.exists() else usual}"


def _podman_sockets(environ: Mapping[str, str]) -> list[Path]:
    """The rootless one of the user first, for everybody but root."""
    sockets = [Path("/run/podman/podman.sock")]
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        sockets.insert(len(sockets) if os.geteuid() == 0 else 0, Path(runtime, "podman/podman.sock"))
    return sockets
