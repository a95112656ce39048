"""A container engine in memory, as strict as the real ones where that matters for cleaning up.

Nothing runs in it: a container does at its start what its `Behaviour` says, and then ends, or lives on until it is stopped or
a test ends it. Any call can be made to fail, before or after it took effect, and what is left over can be asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.fake_calls import Interruptible, counted
from tests.support.fake_containers import (
    Behaviour,
    FakeContainer,
    FakeVolume,
    Remote,
    full_name,
    labelled,
    mounts_of,
    networks_of,
    ports_of,
)
from tests.support.fake_files import FileTree, HostTree, place_of, unpack
from tests.support.fake_streams import FakeLogStream, FakePullStream
from torkd.runtime.containers.engine import (
    ContainerState,
    Credentials,
    EngineError,
    Resource,
    ResourceBusy,
    ResourceMissing,
    Standing,
)

KILLED, TERMINATED = 137, 143


class FakeEngine(Interruptible):
    """An `Engine`. Tests read its attributes freely; `changed` guards them while other threads use it."""

    def __init__(self, *images: str, name: str = "Docker") -> None:
        super().__init__()
        self.name = name
        self.place = "memory"
        self.containers: dict[str, FakeContainer] = {}
        self.volumes: dict[str, FakeVolume] = {}
        self.networks: dict[str, Mapping[str, str]] = {}
        self.selinux = False
        self.images = {full_name(image): f"sha256:{full_name(image)}" for image in images}
        """By full name, what the engine calls them."""
        self.remote: dict[str, Remote] = {}
        """What can be pulled, by the name it is pulled by."""
        self.behaviours: dict[str, Behaviour] = {}
        """By the end of a container's name, such as `main`; a container that none fits ends at once with 0."""
        self._numbers = itertools.count(1)

    # What tests do with it.

    def leftovers(self) -> list[str]:
        """All containers, volumes and networks there are, as `container x`."""
        with self.changed:
            kinds: dict[str, Mapping[str, object]] = {
                "container": self.containers,
                "volume": self.volumes,
                "network": self.networks,
            }
            return [f"{kind} {name}" for kind, found in kinds.items() for name in found]

    def recover(self, *, ended: bool = False) -> None:
        """Answer again; with `ended`, what ran has been killed meanwhile, as by a restart of Docker."""
        with self.changed:
            self.find_again()
            for container in self.containers.values() if ended else ():
                if container.standing is Standing.RUNNING:
                    self._finish(container, KILLED)

    def end(self, container: str, exit_code: int | None = None) -> None:
        """Let a running container end by itself."""
        with self.changed:
            found = self._container(container)
            self._finish(found, found.behaviour.exit_code if exit_code is None else exit_code)

    def say(self, container: str, data: bytes, stream: str = "stdout") -> None:
        """Let a container print."""
        with self.changed:
            self._container(container).log.append((stream, data))
            self.changed.notify_all()

    def release(self, image: str) -> None:
        """Let the pulls of a held image go on to their end."""
        with self.changed:
            self.remote[image].held = False
            self.changed.notify_all()

    def write_file(self, container: str, path: str, data: bytes) -> None:
        """Let a container write a file; in a bind it is written on the host."""
        with self.changed:
            tree, inner = self._place(self._container(container), path)
            tree.write(inner, data)

    # The engine.

    @counted
    def ping(self) -> None:
        """It answers."""

    @counted
    def has_selinux(self) -> bool:
        """As the test says."""
        return self.selinux

    @counted
    def create_container(self, name: str, config: Mapping[str, Any]) -> str:
        """Make one, not started."""
        with self.changed:
            if full_name(config["Image"]) not in self.images:
                raise ResourceMissing(f"No such image: {config['Image']}")
            if name in self.containers:
                raise ResourceBusy(f'The container name "/{name}" is already in use')
            number = next(self._numbers)
            container = FakeContainer(
                id=f"{number:064x}",
                name=name,
                config=config,
                behaviour=self._behaviour(name),
                networks=networks_of(config),
                ports=ports_of(config, number),
            )
            if workdir := config.get("WorkingDir"):
                container.tree.make_directory(workdir)
            for kind, source, _ in mounts_of(config):
                if kind == "volume":
                    self.volumes.setdefault(source, FakeVolume({}, {}))
            self.containers[name] = container
            return container.id

    @counted
    def start_container(self, container: str) -> None:
        """Start it: it does what its behaviour says."""
        with self.changed:
            found = self._container(container)
            if found.standing is Standing.RUNNING:
                return
            if missing := [name for name in found.networks if name not in self.networks]:
                raise ResourceMissing(f"network {missing[0]} not found")
            if found.behaviour.start_error:
                raise EngineError(found.behaviour.start_error)
            found.standing = Standing.RUNNING
            found.log.extend(found.behaviour.output)
            for path, data in found.behaviour.files.items():
                self.write_file(found.name, path, data)
            if not found.behaviour.stays:
                self._finish(found, found.behaviour.exit_code)
            self.changed.notify_all()

    @counted
    def follow_log(self, container: str, *, follow: bool = True) -> FakeLogStream:
        """Its log from the beginning."""
        with self.changed:
            return FakeLogStream(self, self._container(container), follow)

    @counted
    def wait_container(self, container: str) -> int:
        """Block until it has ended."""
        with self.changed:
            found = self._container(container)
            self.wait_for(lambda: self._has_ended(found))
            return found.exit_code

    @counted
    def wait_briefly(self, container: str, seconds: float) -> int | None:
        """Block until it has ended, or so long."""
        with self.changed:
            found = self._container(container)
            self.wait_for(lambda: self._has_ended(found), seconds)
            return found.exit_code if self._has_ended(found) else None

    @counted
    def inspect_container(self, container: str) -> ContainerState:
        """What it is doing."""
        with self.changed:
            found = self._container(container)
            has_ended = found.standing is Standing.ENDED
            return ContainerState(
                id=found.id,
                standing=found.standing,
                exit_code=found.exit_code,
                ran_out_of_memory=has_ended and found.behaviour.ran_out_of_memory,
                ports=dict(found.ports) if found.standing is Standing.RUNNING else {},
            )

    @counted
    def stop_container(self, container: str, grace_seconds: float) -> None:
        """End it; the grace is noted, not waited for."""
        with self.changed:
            if (found := self._find(container)) is not None:
                found.grace_seconds = grace_seconds
                self._finish(found, KILLED if found.behaviour.ignores_term else TERMINATED)

    @counted
    def remove_container(self, container: str) -> None:
        """Kill and remove it."""
        with self.changed:
            if (found := self._find(container)) is not None:
                self._finish(found, KILLED)
                del self.containers[found.name]
                self.changed.notify_all()

    @counted
    def put_archive(self, container: str, path: str, archive: bytes) -> None:
        """Unpack a tar into an existing directory."""
        with self.changed:
            found = self._container(container)
            tree, inner = self._place(found, path)
            if not tree.has_directory(inner):
                raise ResourceMissing(f"Could not find the file {path} in container {container}")
            unpack(archive, path, lambda name: self._place(found, name))

    @counted
    def read_file(self, container: str, path: str, limit: int) -> tuple[bytes, int] | None:
        """A plain file of it."""
        with self.changed:
            if (found := self._find(container)) is None:
                return None
            tree, inner = self._place(found, path)
            data = tree.read(inner)
            return None if data is None else (data[:limit], len(data))

    @counted
    def create_volume(self, name: str, *, options: Mapping[str, str], labels: Mapping[str, str]) -> None:
        """Make it; one that has the name is kept."""
        with self.changed:
            self.volumes.setdefault(name, FakeVolume(dict(labels), dict(options)))

    @counted
    def remove_volume(self, name: str) -> None:
        """Remove it, unless a container has it."""
        with self.changed:
            for container in self.containers.values():
                if ("volume", name) in {(kind, source) for kind, source, _ in mounts_of(container.config)}:
                    raise ResourceBusy(f"remove {name}: volume is in use - [{container.id}]")
            self.volumes.pop(name, None)

    @counted
    def create_network(self, name: str, *, labels: Mapping[str, str]) -> None:
        """Make it."""
        with self.changed:
            if name in self.networks:
                raise ResourceBusy(f"network with name {name} already exists")
            self.networks[name] = dict(labels)

    @counted
    def remove_network(self, name: str) -> None:
        """Remove it, unless a container is on it."""
        with self.changed:
            if any(name in container.networks for container in self.containers.values()):
                raise ResourceBusy(f"network {name} has active endpoints")
            self.networks.pop(name, None)

    @counted
    def connect_network(self, network: str, container: str, aliases: Sequence[str]) -> None:
        """Put a container on one more network."""
        with self.changed:
            if network not in self.networks:
                raise ResourceMissing(f"network {network} not found")
            self._container(container).networks[network] = list(aliases)

    @counted
    def list_containers(self, labels: Sequence[str]) -> list[Resource]:
        """All that carry these labels."""
        with self.changed:
            return labelled({name: found.labels for name, found in self.containers.items()}, labels)

    @counted
    def list_volumes(self, labels: Sequence[str]) -> list[Resource]:
        """Volumes that carry these labels."""
        with self.changed:
            return labelled({name: found.labels for name, found in self.volumes.items()}, labels)

    @counted
    def list_networks(self, labels: Sequence[str]) -> list[Resource]:
        """Networks that carry these labels."""
        with self.changed:
            return labelled(self.networks, labels)

    @counted
    def has_image(self, image: str) -> bool:
        """Whether it is here."""
        with self.changed:
            return full_name(image) in self.images

    @counted
    def image_id(self, image: str) -> str:
        """What it is called here."""
        with self.changed:
            return self.images.get(full_name(image), "")

    def pull_image(self, image: str, credentials: Credentials | None) -> FakePullStream:
        """Fetch it. Counted here; made to fail when the stream is read."""
        return FakePullStream(self, self.note("pull_image", (image, credentials)), self.remote.get(image), self.images)

    @counted
    def remove_image(self, image: str) -> None:
        """Remove it, unless a container uses it."""
        with self.changed:
            for container in self.containers.values():
                if full_name(container.config["Image"]) == full_name(image):
                    raise ResourceBusy(f"image {image} is being used by container {container.id}")
            self.images.pop(full_name(image), None)

    def close(self) -> None:
        """Nothing is held."""

    def _container(self, name: str) -> FakeContainer:
        if (found := self._find(name)) is None:
            raise ResourceMissing(f"No such container: {name}")
        return found

    def _find(self, name: str) -> FakeContainer | None:
        return next((found for found in self.containers.values() if name in {found.name, found.id}), None)

    def _has_ended(self, container: FakeContainer) -> bool:
        return container.standing is not Standing.RUNNING or container.name not in self.containers

    def _behaviour(self, name: str) -> Behaviour:
        fitting = [end for end in self.behaviours if name.endswith(end)]
        return self.behaviours[max(fitting, key=len)] if fitting else Behaviour()

    def _finish(self, container: FakeContainer, exit_code: int) -> None:
        if container.standing is Standing.RUNNING:
            container.standing, container.exit_code = Standing.ENDED, exit_code
            self.changed.notify_all()

    def _place(self, container: FakeContainer, path: str) -> tuple[FileTree, str]:
        mount, inner = place_of(mounts_of(container.config), path)
        if mount is None:
            return container.tree, inner
        return (HostTree(mount.source) if mount.kind == "bind" else self.volumes[mount.source].tree), inner
