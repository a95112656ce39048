"""What the fake engine is made of: containers and what they do, images to pull, and how a container's configuration is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.fake_files import MemoryTree, Mount
from torkd.runtime.containers.engine import Credentials, PullEvent, Resource, Standing

_FIRST_PORT, _PORTS_EACH = 40_000, 100


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What a container does when it is started."""

    output: Sequence[tuple[str, bytes]] = ()
    """Pieces it prints, as (`stdout` or `stderr`, bytes)."""
    exit_code: int = 0
    files: Mapping[str, bytes] = field(default_factory=dict)
    """What it writes, by absolute path; a path in a bind is written on the host."""
    stays: bool = False
    """Whether it runs on until it is stopped, or `FakeEngine.end` is called."""
    ignores_term: bool = False
    ran_out_of_memory: bool = False
    start_error: str = ""
    """Why it can't be started, if it can't."""


@dataclass(kw_only=True)
class Remote:
    """An image that can be pulled."""

    events: Sequence[PullEvent] = ()
    credentials: Credentials | None = None
    """Without exactly these it is refused; None: anybody may have it."""
    held: bool = False
    """Whether a pull says all its news, and then waits for `FakeEngine.release`."""
    content: str = ""
    """What is in it: images with the same content have the same id."""
    error: str = ""
    """Why the pull fails after its news, if it does."""


@dataclass(eq=False)
class FakeContainer:
    """A container, with everything that happened to it."""

    id: str
    name: str
    config: Mapping[str, Any]
    behaviour: Behaviour
    networks: dict[str, list[str]]
    """Name to aliases."""
    ports: dict[int, int]
    standing: Standing = Standing.CREATED
    exit_code: int = 0
    log: list[tuple[str, bytes]] = field(default_factory=list)
    tree: MemoryTree = field(default_factory=MemoryTree)
    grace_seconds: float | None = None
    """Of the last stop."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return self.config.get("Labels") or {}


@dataclass(eq=False)
class FakeVolume:
    """A named volume."""

    labels: Mapping[str, str]
    options: Mapping[str, str]
    tree: MemoryTree = field(default_factory=MemoryTree)


def full_name(image: str) -> str:
    """The name without the parts that go without saying, and with a tag: so that two names of an image are one."""
    name = image.removeprefix("docker.io/").removeprefix("library/")
    has_tag = ":" in name.rsplit("/", 1)[-1] or "@" in name
    return name if has_tag else f"{name}:latest"


def mounts_of(config: Mapping[str, Any]) -> list[Mount]:
    """The binds and volumes of a container's configuration; a source that is no path is a volume."""
    host: Mapping[str, Any] = config.get("HostConfig") or {}
    found = [
        Mount(str(mount["Type"]), str(mount.get("Source", "")), str(mount["Target"]))
        for mount in host.get("Mounts") or ()
    ]
    for text in host.get("Binds") or ():
        source, target = str(text).split(":")[:2]
        found.append(Mount("bind" if source.startswith("/") else "volume", source, target))
    return found


def networks_of(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """The named networks a container is put on, with its aliases there."""
    mode = str((config.get("HostConfig") or {}).get("NetworkMode") or "default")
    is_named = mode not in {"default", "bridge", "none", "host"} and not mode.startswith("container:")
    found: dict[str, list[str]] = {mode: []} if is_named else {}
    for name, endpoint in ((config.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}).items():
        found[name] = list((endpoint or {}).get("Aliases") or ())
    return found


def ports_of(config: Mapping[str, Any], number: int) -> dict[int, int]:
    """A port of the host's for each published one, different in each container."""
    published = (config.get("HostConfig") or {}).get("PortBindings") or {}
    first = _FIRST_PORT + _PORTS_EACH * number
    return {int(port.partition("/")[0]): first + index for index, port in enumerate(published)}


def labelled(found: Mapping[str, Mapping[str, str]], asked: Sequence[str]) -> list[Resource]:
    """Those that carry all labels asked for, each given as `name` or `name=value`."""
    return [
        Resource(name=name, labels=dict(labels))
        for name, labels in found.items()
        if all(_has(labels, *label.partition("=")) for label in asked)
    ]


def _has(labels: Mapping[str, str], name: str, is_valued: str, value: str) -> bool:
    return name in labels and (not is_valued or labels[name] == value)
