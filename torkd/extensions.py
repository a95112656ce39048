"""What an operator adds without touching torkd: runtimes, brokers, datastores and mounters by name.

A package offers them through the entry-point group `torkd.plugins`: each entry point is a function that takes the
`Extensions` and registers what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

from tork.errors import StartError
from torkd.broker.protocol import Broker
from torkd.datastore.protocol import Datastore
from torkd.runtime.containers.mounters import BUILT_IN_TYPES, Mounter
from torkd.runtime.protocol import Runtime

GROUP = "torkd.plugins"

Section = Mapping[str, Any]
"""The component's own section of the configuration file, as written."""


@dataclass(slots=True)
class Extensions:
    """Components by the name that `runtime.type`, `broker.type`, `datastore.type` or a mount's `type` selects them by."""

    runtimes: dict[str, Callable[[Section], Runtime]] = field(default_factory=dict)
    brokers: dict[str, Callable[[Section], Broker]] = field(default_factory=dict)
    datastores: dict[str, Callable[[Section], Datastore]] = field(default_factory=dict)
    mounters: dict[tuple[str, str], Callable[[Section], Mounter]] = field(default_factory=dict)
    """By runtime and type of mount."""

    def register_runtime(self, name: str, make: Callable[[Section], Runtime]) -> None:
        """Make `runtime.type = name` mean this one. `make` gets the section `[runtime.<name>]`."""
        self.runtimes[name] = make

    def register_broker(self, name: str, make: Callable[[Section], Broker]) -> None:
        """Make `broker.type = name` mean this one. `make` gets the section `[broker.<name>]`."""
        self.brokers[name] = make

    def register_datastore(self, name: str, make: Callable[[Section], Datastore]) -> None:
        """Make `datastore.type = name` mean this one. `make` gets the section `[datastore.<name>]`."""
        self.datastores[name] = make

    def register_mounter(self, runtime: str, type_: str, make: Callable[[Section], Mounter]) -> None:
        """Give tasks of a runtime, `docker` or `podman`, mounts of this type. `make` gets the section `[mounter.<type>]`.

        Raises `StartError` for a type that is built in.
        """
        if type_ in BUILT_IN_TYPES:
            raise StartError(f"a mounter of type '{type_}' can't be registered: that type is built in")
        self.mounters[runtime, type_] = make

    def make_mounters(self, runtime: str, sections: Mapping[str, Section]) -> dict[str, Mounter]:
        """The mounters of a runtime by type; `sections` are the custom ones by their full name, `mounter.<type>`.

        Raises `StartError` naming one that fails.
        """
        made: dict[str, Mounter] = {}
        for (of_runtime, type_), make in self.mounters.items():
            if of_runtime != runtime:
                continue
            try:
                made[type_] = make(sections.get(f"mounter.{type_}", {}))
            except Exception as error:
                raise StartError(f"the mounter of type '{type_}' can't be made: {error}") from error
        return made

    def load_plugins(self) -> None:
        """Let every installed plugin register what it has. Raises `StartError` naming one that fails."""
        for entry in entry_points(group=GROUP):
            try:
                entry.load()(self)
            except Exception as error:
                raise StartError(f"the plugin '{entry.name}' ({entry.value}) failed to register: {error}") from error
