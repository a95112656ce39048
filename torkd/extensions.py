"""What an operator adds without touching torkd: runtimes, brokers and datastores by name.

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
from torkd.runtime.protocol import Runtime

GROUP = "torkd.plugins"

Section = Mapping[str, Any]
"""The component's own section of the configuration file, as written."""


@dataclass(slots=True)
class Extensions:
    """Components by the name that `runtime.type`, `broker.type` or `datastore.type` selects them by."""

    runtimes: dict[str, Callable[[Section], Runtime]] = field(default_factory=dict)
    brokers: dict[str, Callable[[Section], Broker]] = field(default_factory=dict)
    datastores: dict[str, Callable[[Section], Datastore]] = field(default_factory=dict)

    def register_runtime(self, name: str, make: Callable[[Section], Runtime]) -> None:
        """Make `runtime.type = name` mean this one. `make` gets the section `[runtime.<name>]`."""
        self.runtimes[name] = make

    def register_broker(self, name: str, make: Callable[[Section], Broker]) -> None:
        """Make `broker.type = name` mean this one. `make` gets the section `[broker.<name>]`."""
        self.brokers[name] = make

    def register_datastore(self, name: str, make: Callable[[Section], Datastore]) -> None:
        """Make `datastore.type = name` mean this one. `make` gets the section `[datastore.<name>]`."""
        self.datastores[name] = make

    def load_plugins(self) -> None:
        """Let every installed plugin register what it has. Raises `StartError` naming one that fails."""
        for entry in entry_points(group=GROUP):
            try:
                entry.load()(self)
            except Exception as error:
                raise StartError(f"the plugin '{entry.name}' ({entry.value}) failed to register: {error}") from error
