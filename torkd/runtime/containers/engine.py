"""The port to a container engine: what the container runtime needs of Docker or Podman, and the errors it may get.

Names of containers, volumes and networks are chosen by the caller, before anything is made: so a creation whose answer never
came can still be undone. Every method may be called from any thread. The errors are `RuntimeFailure`s, and their texts fit
into a task's error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from tork.errors import RuntimeFailure


class EngineError(RuntimeFailure):
    """The engine refused something; the text is its reason."""


class EngineUnavailable(EngineError):
    """The engine does not answer, or went away in the middle."""


class ResourceMissing(EngineError):
    """No such container, volume, network, image or path."""


class ResourceBusy(EngineError):
    """It is in use, or the name is taken."""


class Standing(StrEnum):
    """What a container is doing."""

    CREATED = "created"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerState:
    """A container as the engine sees it now."""

    id: str
    standing: Standing
    exit_code: int = 0
    """Of an ended one."""
    ran_out_of_memory: bool = False
    ports: Mapping[int, int] = field(default_factory=dict)
    """Container's TCP port to the host's, for published ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """A container, volume or network that carries labels."""

    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """What a registry wants to know: user and password, or an identity token alone."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class PullEvent:
    """A piece of news while an image is pulled."""

    layer: str = ""
    """Which layer it is about, if one."""
    status: str = ""
    """In the engine's words, such as `Downloading` or `Pull complete`."""
    current: int = 0
    """Bytes of the layer that are here, when the status has a size."""
    total: int = 0


class LogStream(Protocol):
    """A container's log from its beginning, and on until it ends."""

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Pieces as (`stdout` or `stderr`, bytes). Ends with the container's log; raises `EngineUnavailable` when cut off."""

    def close(self) -> None:
        """Read no more; ends the iteration of another thread, soon. Safe to call twice."""


class Engine(Protocol):
    """A container engine."""

    @property
    def name(self) -> str:
        """`Docker` or `Podman`."""

    @property
    def place(self) -> str:
        """Where it is reached, such as `unix:///var/run/docker.sock`."""

    def ping(self) -> None:
        """Returns when it answers. Raises `EngineUnavailable` saying what to do about it."""

    def has_selinux(self) -> bool:
        """Whether SELinux keeps its containers from files that were not labelled for them."""

    def create_container(self, name: str, config: Mapping[str, Any]) -> str:
        """Make one, not started; its id. `config` is the body of Docker's `POST /containers/create` (API 1.41).

        Raises `ResourceMissing` when the image is not there.
        """

    def start_container(self, container: str) -> None:
        """Start it. Starting one that runs changes nothing."""

    def follow_log(self, container: str, *, follow: bool = True) -> LogStream:
        """Its log from the beginning; with `follow`, on until it ends."""

    def wait_container(self, container: str) -> int:
        """Block until it has ended; its exit code. For one that was started."""

    def wait_briefly(self, container: str, seconds: float) -> int | None:
        """The same, for so long at most; None when it runs on."""

    def inspect_container(self, container: str) -> ContainerState:
        """What it is doing. Raises `ResourceMissing`."""

    def stop_container(self, container: str, grace_seconds: float) -> None:
        """Ask it to end (its image's stop signal, TERM by default), and KILL it after the grace. Blocks until it has ended."""

    def remove_container(self, container: str) -> None:
        """Kill and remove it, with its anonymous volumes. One that is not there counts as removed."""

    def put_archive(self, container: str, path: str, archive: bytes) -> None:
        """Unpack a tar into an existing directory of a container, started or not."""

    def read_file(self, container: str, path: str, limit: int) -> tuple[bytes, int] | None:
        """At most `limit` bytes of a plain file in a container, started or not, and its size; None when there is no such file."""

    def create_volume(self, name: str, *, options: Mapping[str, str], labels: Mapping[str, str]) -> None:
        """Make a named volume; one that has the name is kept."""

    def remove_volume(self, name: str) -> None:
        """Remove it. One that is not there counts as removed. Raises `ResourceBusy` while a container has it."""

    def create_network(self, name: str, *, labels: Mapping[str, str]) -> None:
        """Make a bridge network. Raises `ResourceBusy` when the name is taken."""

    def remove_network(self, name: str) -> None:
        """Remove it. One that is not there counts as removed. Raises `ResourceBusy` while a container is on it."""

    def connect_network(self, network: str, container: str, aliases: Sequence[str]) -> None:
        """Put a created container on one more network."""

    def list_containers(self, labels: Sequence[str]) -> list[Resource]:
        """All, ended ones too, that carry these labels, each given as `name` or `name=value`; `name` is the container's name."""

    def list_volumes(self, labels: Sequence[str]) -> list[Resource]:
        """Volumes that carry these labels."""

    def list_networks(self, labels: Sequence[str]) -> list[Resource]:
        """Networks that carry these labels."""

    def has_image(self, image: str) -> bool:
        """Whether the image of this reference is here."""

    def image_id(self, image: str) -> str:
        """What the engine calls the image that this reference leads to now; empty when it is not here."""

    def pull_image(self, image: str, credentials: Credentials | None) -> PullStream:
        """Fetch it; nothing happens until the stream is read."""

    def remove_image(self, image: str) -> None:
        """Remove it. One that is not there counts as removed. Raises `ResourceBusy` while a container uses it."""

    def close(self) -> None:
        """Disconnect."""


class PullStream(Protocol):
    """The news of a pull, until it is done."""

    def __iter__(self) -> Iterator[PullEvent]:
        """Ends when the image is here. Raises `EngineError` with the reason when it can't be had."""

    def close(self) -> None:
        """Give up; the engine then gives up too. Safe to call twice, and from another thread."""
