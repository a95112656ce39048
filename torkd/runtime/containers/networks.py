"""On which networks a run's containers are, and the private one that its sidecars need.

A task may only name networks: words and forms that mean something else to an engine, such as `container:<id>`, would put
it into the network of another container or of the host.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from tork.errors import RuntimeFailure
from torkd.runtime.containers.engine import Engine, EngineError, EngineUnavailable, ResourceBusy
from torkd.runtime.containers.removal import remove_patiently

HOST, NONE, BRIDGE = "host", "none", "bridge"
CREATION_SECONDS = 10.0
"""Within which the private network must be there."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
"""Both engines name networks so; their ids look like this, too."""
_MODES = {"Podman": frozenset({"slirp4netns", "pasta", "private", "pod", "ns", "container"})}
"""Words that an engine takes for a mode before it looks for a network, beside `host`, `none`, `bridge` and `default`."""
_MISSING = re.compile(r"\bnetwork (?:with name or ID )?(\S+?):? (?:network )?not found")
"""How Docker and Podman say it."""

_PAUSES_SECONDS = (0.1, 0.3)
"""Before another try."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkRules:
    """What the operator allows."""

    host_allowed: bool = False
    allowed: Sequence[str] = ()
    """The networks that tasks may name beside `bridge` and `none`; any when empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachment:
    """One container's share: the pieces of its create config, and what to connect before it is started."""

    host_config: Mapping[str, Any]
    """To be added to `HostConfig`."""
    config: Mapping[str, Any]
    """To be added to the body itself."""
    connections: Sequence[tuple[str, Sequence[str]]]
    """Further networks with the container's aliases there."""


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks that all containers of a run are on; none means the engine's default one."""

    names: tuple[str, ...] = ()

    @property
    def is_host(self) -> bool:
        """Whether the containers have no network of their own: nothing can be published, and ports are the host's."""
        return self.names == (HOST,)

    def attach(self, alias: str) -> Attachment:
        """How to put a container on them under this name, which may be empty. It is made on one and connected to the rest."""
        if not self.names:
            return Attachment(host_config={}, config={}, connections=())
        first, *others = self.names
        aliases = [alias] if alias else []
        config = {} if first in {HOST, NONE, BRIDGE} else {"EndpointsConfig": {first: {"Aliases": aliases}}}
        return Attachment(
            host_config={"NetworkMode": first},
            config={"NetworkingConfig": config} if config else {},
            connections=[(name, [] if name == BRIDGE else aliases) for name in others],
        )

    def explain(self, error: EngineError, engine: Engine) -> EngineError:
        """The error of creating, connecting or starting a container, in other words if it says that a network is missing.

        Docker says it when the container is started, Podman when it is created.
        """
        missing = _MISSING.search(str(error))
        if missing is None:
            return error
        return EngineError(
            f"network {missing[1]} does not exist on {engine.name} at {engine.place} (right would be one made there)"
        )


def choose_networks(
    names: Sequence[str], rules: NetworkRules, *, engine_name: str, private: str | None = None
) -> Networks:
    """The networks of a task, and `private`, the one its sidecars need, when there are sidecars. Raises `RuntimeFailure`.

    On the host's network sidecars are reached at localhost, so there the private one is left out: ask `names` for it.
    """
    chosen = tuple(dict.fromkeys(_checked(name, rules, engine_name) for name in names))
    for alone in (HOST, NONE):
        if alone in chosen and len(chosen) > 1:
            other = next(name for name in chosen if name != alone)
            raise RuntimeFailure(
                f"network {alone} can't be used together with network {other} (right would be one or the other)"
            )
    if private is None or chosen == (HOST,):
        return Networks(chosen)
    if chosen == (NONE,):
        raise RuntimeFailure(
            "network none can't be used with sidecars: they could not be reached (right would be no networks at all)"
        )
    return Networks((*chosen, private))


def network_name(run_id: str) -> str:
    """What the private network of a run is called."""
    return f"torkd-{run_id}-network"


def create_private_network(
    engine: Engine, name: str, labels: Mapping[str, str], *, limit_seconds: float = CREATION_SECONDS
) -> None:
    """Make it; one that is there already is the run's own. Raises what the engine does, or `EngineUnavailable` in time.

    A stop does not interrupt it, since the name could not be removed while it is still being made.
    """
    try:
        _finish_within(lambda: _create(engine, name, labels), limit_seconds)
    except ResourceBusy:
        _LOG.debug("the network %s is there already", name)
    except TimeoutError as error:
        raise EngineUnavailable(
            f"the network for the sidecars can't be made: {engine.name} at {engine.place} took more than {limit_seconds:g}s"
        ) from error
    except EngineError as error:
        raise type(error)(f"the network for the sidecars can't be made: {error}") from error


def remove_private_network(engine: Engine, name: str) -> bool:
    """Whether it is gone. No container of the run is left."""
    return remove_patiently(f"network {name}", lambda: engine.remove_network(name))


def _create(engine: Engine, name: str, labels: Mapping[str, str]) -> None:
    """Podman fails now and then when other networks come and go at that moment."""
    for pause in _PAUSES_SECONDS:
        try:
            engine.create_network(name, labels=labels)
            return
        except (ResourceBusy, EngineUnavailable):
            raise
        except EngineError as error:
            _LOG.debug("the network %s is tried again: %s", name, error)
            time.sleep(pause)
    engine.create_network(name, labels=labels)


def _finish_within(act: Callable[[], None], limit_seconds: float) -> None:
    outcome: Future[None] = Future()

    def run() -> None:
        try:
            act()
            outcome.set_result(None)
        except BaseException as error:  # noqa: BLE001 -- raised again where it is waited for
            outcome.set_exception(error)

    threading.Thread(target=run, name="create-network", daemon=True).start()
    outcome.result(limit_seconds)


def _checked(name: str, rules: NetworkRules, engine_name: str) -> str:
    if name == HOST:
        if not rules.host_allowed:
            setting = f"runtime.{engine_name.lower()}.host.network"
            raise RuntimeFailure(f"host networking is not enabled (right would be another network, or {setting})")
        return HOST
    if name in {NONE, BRIDGE, "default"}:  # what a task may have without naming a network
        return BRIDGE if name == "default" else name
    if not _NAME.fullmatch(name) or name in _MODES.get(engine_name, ()):
        raise RuntimeFailure(
            f"network {name[:100]!r} is not allowed: it is not the name of a network (right would be such as 'backend')"
        )
    if rules.allowed and name not in rules.allowed:
        raise RuntimeFailure(f"network {name} is not allowed (right would be one of {', '.join(rules.allowed)})")
    return name
