"""What several settings, or a setting and what is registered, must fulfil together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torkd.settings.kinds import TRUE_TEXTS, is_plain_number, refuse_choice, short_duration
from torkd.settings.origins import Raw
from torkd.settings.sections.coordinator import COORDINATOR_QUEUES

BUILT_IN_BROKERS = ("inmemory", "rabbitmq")
BUILT_IN_DATASTORES = ("postgres",)
BUILT_IN_RUNTIMES = ("docker", "podman", "shell", "auto")


@dataclass(frozen=True)
class Registered:
    """Names of components that were registered beside the built-in ones."""

    brokers: Collection[str] = ()
    datastores: Collection[str] = ()
    runtimes: Collection[str] = ()

    def sections(self) -> frozenset[str]:
        """The sections that these components may have in the configuration."""
        named = (("broker", self.brokers), ("datastore", self.datastores), ("runtime", self.runtimes))
        return frozenset(f"{root}.{name}" for root, names in named for name in names)


def find_conflicts(values: Mapping[str, Any], registered: Registered) -> Iterator[tuple[str, str]]:
    """Each conflict as the key to change and the reason."""
    yield from _unknown_types(values, registered)
    heartbeat, lease = values["worker.heartbeat"], values["worker.lease"]
    if lease <= 2 * heartbeat:
        right = f"right would be more than {short_duration(2 * heartbeat)}"
        yield "worker.lease", f"too short for worker.heartbeat: one late heartbeat would lose the run ({right})"


def find_oddities(raws: Mapping[str, Raw], durations: Collection[str]) -> Iterator[tuple[str, str]]:
    """Values that are legal but hardly meant: each as the key and a sentence for a warning."""
    durable = raws.get("broker.rabbitmq.durable.queues")
    binds, sources = raws.get("mounts.bind.allowed"), raws.get("mounts.bind.sources")
    if binds and str(binds.value) in TRUE_TEXTS and (sources is None or not sources.value):
        yield "mounts.bind.allowed", "no path can be mounted: mounts.bind.sources, the list of those that may, is empty"
    if durable and str(durable.value).lower() in {"false", "f", "0"}:
        yield "broker.rabbitmq.durable.queues", "false is ignored: queues are always durable"
    for key in durations:
        if key in raws and is_plain_number(raws[key].value):
            yield key, "a plain number is in nanoseconds; a unit makes it clear, such as '30s'"
    for name in sorted(COORDINATOR_QUEUES):
        if f"worker.queues.{name}" in raws:
            yield f"worker.queues.{name}", "ignored: this queue is the coordinator's"


def _unknown_types(values: Mapping[str, Any], registered: Registered) -> Iterator[tuple[str, str]]:
    choices = (
        ("broker.type", "invalid broker type", (*BUILT_IN_BROKERS, *registered.brokers)),
        ("datastore.type", "unknown datastore type", (*BUILT_IN_DATASTORES, *registered.datastores)),
        ("locker.type", "unknown locker type", ("inmemory", "postgres", *registered.datastores)),
        ("runtime.type", "unknown runtime type", (*BUILT_IN_RUNTIMES, *registered.runtimes)),
    )
    for key, wrong, names in choices:
        follows_datastore = key == "locker.type" and values[key] == values["datastore.type"]
        if values[key] not in names and not follows_datastore:
            yield key, refuse_choice(wrong, values[key], names)
