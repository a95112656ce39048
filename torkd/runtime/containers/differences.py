"""Where Docker and Podman differ, by name: everything else of the container runtime is the same for both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torkd.runtime.containers.engine import EngineError, ResourceBusy


@dataclass(frozen=True, kw_only=True)
class Differences:
    """What has to be known of an engine beyond its API."""

    name: str
    advice: str
    """What to do when it does not answer."""
    log_config: Mapping[str, Any]
    """A log that the engine keeps whole, whatever the defaults of its host: it is read again after a restart."""
    busy_network: tuple[str, ...] = ()
    """Parts of the texts by which it says, without the status for that, that a network is in use or its name taken."""
    no_init: str = "docker-init"
    """A part of the text by which it says that it has no init process to give."""
    missing_bind: str = "bind source path does not exist"
    """A part of the text by which it says that it does not see a directory."""
    may_miss_the_end: bool = False
    """Whether a followed log may end before what a container wrote last: an unfinished line, most of all."""
    stumbles: tuple[str, ...] = ()
    """Parts of the texts of failures that are over a moment later: it got into its own way."""
    gives_gpus: bool = True
    """Whether it understands Docker's device requests."""

    def has_stumbled(self, error: EngineError) -> bool:
        """Whether the same may work a moment later."""
        return any(words in str(error) for words in self.stumbles)

    def network_error(self, error: EngineError) -> EngineError:
        """The error as Docker would have told it."""
        is_busy = any(words in str(error) for words in self.busy_network)
        return ResourceBusy(str(error)) if is_busy else error


DOCKER = Differences(
    name="Docker",
    advice="right would be a running Docker whose socket torkd may use; DOCKER_HOST says where it is",
    log_config={
        "Type": "json-file",
        "Config": {"max-size": "1000g", "max-file": "1", "compress": "false", "mode": "blocking"},
    },
    busy_network=("has active endpoints",),
    may_miss_the_end=True,
)
PODMAN = Differences(
    name="Podman",
    advice="right would be Podman installed, or its socket in CONTAINER_HOST",
    log_config={"Type": "k8s-file"},
    busy_network=("is being used", "network already exists"),
    no_init="container-init",
    missing_bind="no such file or directory",
    # Storage that another call has just unmounted; interfaces, and chains of the firewall, of others that come and go; a
    # process that ends while it is looked at.
    stumbles=(
        "mounting storage for container",
        "no such network interface",
        "No chain/target/match by that name",
        "/cgroup: no such process",
    ),
    gives_gpus=False,
)
