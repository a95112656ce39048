"""Which networks a task may name, how a container gets on them, and the private network of a run."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import cast

import pytest

from tork.errors import RuntimeFailure
from torkd.runtime.containers import removal
from torkd.runtime.containers.engine import Engine, EngineError, EngineUnavailable, ResourceBusy, ResourceMissing
from torkd.runtime.containers.networks import (
    NetworkRules,
    Networks,
    choose_networks,
    create_private_network,
    network_name,
    remove_private_network,
)

ANY = NetworkRules()
PRIVATE = "torkd-r1-network"


class NetworkEngine:
    """The part of an engine that knows networks."""

    name, place = "Docker", "unix:///run/d.sock"

    def __init__(self, error: Exception | None = None) -> None:
        self.networks: dict[str, Mapping[str, str]] = {}
        self.error = error
        self.busy_tries = 0
        self.gate = threading.Event()
        self.gate.set()

    def create_network(self, name: str, *, labels: Mapping[str, str]) -> None:
        self.gate.wait()
        if self.error:
            raise self.error
        if name in self.networks:
            raise ResourceBusy("already exists")
        self.networks[name] = labels

    def remove_network(self, name: str) -> None:
        self.busy_tries -= 1
        if self.busy_tries >= 0:
            raise ResourceBusy("has active endpoints")
        self.networks.pop(name, None)


@pytest.fixture
def slow() -> Iterator[NetworkEngine]:
    """An engine that does not answer before the test's end."""
    engine = NetworkEngine()
    engine.gate.clear()
    yield engine
    engine.gate.set()


def as_engine(engine: NetworkEngine) -> Engine:
    return cast("Engine", engine)


def choose(
    *names: str, rules: NetworkRules = ANY, private: str | None = None, engine_name: str = "Docker"
) -> tuple[str, ...]:
    return choose_networks(names, rules, engine_name=engine_name, private=private).names


@pytest.mark.parametrize(
    ("names", "private", "chosen"),
    [
        ([], None, ()),
        ([], PRIVATE, (PRIVATE,)),
        (["a", "b"], None, ("a", "b")),
        (["a", "b"], PRIVATE, ("a", "b", PRIVATE)),
        (["a", "a"], None, ("a",)),
        (["default", "a", "bridge"], None, ("bridge", "a")),
        (["none"], None, ("none",)),
        (["my_net.x-1"], None, ("my_net.x-1",)),
    ],
    ids=["none named", "sidecars", "two", "two and sidecars", "twice", "the default one", "no network", "any letter"],
)
def test_a_run_is_on_the_networks_it_names_and_that_of_its_sidecars(
    names: list[str], private: str | None, chosen: tuple[str, ...]
) -> None:
    assert choose(*names, private=private) == chosen


@pytest.mark.parametrize("engine_name", ["Docker", "Podman"])
def test_the_hosts_network_must_be_enabled(engine_name: str) -> None:
    with pytest.raises(RuntimeFailure) as refused:
        choose("host", rules=NetworkRules(allowed=["host"]), engine_name=engine_name)
    setting = f"runtime.{engine_name.lower()}.host.network"
    assert str(refused.value) == f"host networking is not enabled (right would be another network, or {setting})"


def test_sidecars_on_the_hosts_network_need_no_private_one() -> None:
    networks = choose_networks(["host"], NetworkRules(host_allowed=True), engine_name="Docker", private=PRIVATE)
    assert networks.is_host
    assert networks.names == ("host",)


@pytest.mark.parametrize("names", [["host", "a"], ["a", "host"], ["none", "a"], ["host", "none"], ["none", "bridge"]])
def test_host_and_none_go_with_no_other_network(names: list[str]) -> None:
    with pytest.raises(RuntimeFailure, match=r"^network (host|none) can't be used together with network "):
        choose(*names, rules=NetworkRules(host_allowed=True))


def test_sidecars_need_a_network() -> None:
    with pytest.raises(RuntimeFailure, match=r"^network none can't be used with sidecars"):
        choose("none", private=PRIVATE)


@pytest.mark.parametrize("engine_name", ["Docker", "Podman"])
@pytest.mark.parametrize(
    "name",
    ["container:abc", "ns:/proc/1/ns/net", "slirp4netns:allow_host_loopback=true", "a/b", "", " host", "-a", "é"],
)
def test_what_is_not_the_name_of_a_network_is_refused(name: str, engine_name: str) -> None:
    with pytest.raises(RuntimeFailure, match=r"is not allowed: it is not the name of a network"):
        choose(name, engine_name=engine_name, rules=NetworkRules(host_allowed=True))


@pytest.mark.parametrize("name", ["slirp4netns", "pasta", "private", "pod", "ns", "container"])
def test_a_word_that_podman_takes_for_a_mode_is_refused_there(name: str) -> None:
    assert choose(name) == (name,)
    with pytest.raises(RuntimeFailure, match=r"it is not the name of a network"):
        choose(name, engine_name="Podman")


def test_the_operators_list_is_exact() -> None:
    rules = NetworkRules(allowed=["backend", "cache"])
    assert choose("cache", "bridge", rules=rules, private=PRIVATE) == ("cache", "bridge", PRIVATE)
    for name in ("backend2", "Backend", "torkd-r2-network"):
        with pytest.raises(RuntimeFailure) as refused:
            choose("backend", name, rules=rules)
        assert str(refused.value) == f"network {name} is not allowed (right would be one of backend, cache)"


def test_without_networks_nothing_is_said_to_the_engine() -> None:
    attachment = Networks().attach("build")
    assert (attachment.host_config, attachment.config, list(attachment.connections)) == ({}, {}, [])


def test_a_container_is_made_on_one_network_and_connected_to_the_others() -> None:
    attachment = Networks(("a", "bridge", "b")).attach("build")
    assert attachment.host_config == {"NetworkMode": "a"}
    assert attachment.config == {"NetworkingConfig": {"EndpointsConfig": {"a": {"Aliases": ["build"]}}}}
    assert [(name, list(aliases)) for name, aliases in attachment.connections] == [("bridge", []), ("b", ["build"])]


def test_names_are_not_known_on_a_network_when_the_container_has_none() -> None:
    attachment = Networks(("a", "b")).attach("")
    assert attachment.config == {"NetworkingConfig": {"EndpointsConfig": {"a": {"Aliases": []}}}}
    assert [(name, list(aliases)) for name, aliases in attachment.connections] == [("b", [])]


@pytest.mark.parametrize("name", ["host", "none", "bridge"])
def test_the_engines_own_networks_take_no_alias(name: str) -> None:
    attachment = Networks((name,)).attach("build")
    assert (attachment.host_config, attachment.config) == ({"NetworkMode": name}, {})


@pytest.mark.parametrize(
    "text",
    [
        "network a.b-c not found",
        "container create: unable to find network with name or ID a.b-c: network not found",
        "unable to find network with name or ID a.b-c: network not found",
        "could not find a network matching network mode a.b-c: network a.b-c not found",
    ],
    ids=["Docker", "Podman when creating", "Podman when connecting", "newer Docker"],
)
def test_a_missing_network_is_named_with_the_engine(text: str) -> None:
    error = Networks(("a", "a.b-c")).explain(ResourceMissing(text), as_engine(NetworkEngine()))
    expected = "network a.b-c does not exist on Docker at unix:///run/d.sock (right would be one made there)"
    assert (type(error), str(error)) == (EngineError, expected)


@pytest.mark.parametrize("text", ["No such image: a", "network a has active endpoints", "not found"])
def test_any_other_error_stays_as_it_is(text: str) -> None:
    error = ResourceMissing(text)
    assert Networks(("a",)).explain(error, as_engine(NetworkEngine())) is error


def test_a_private_network_carries_the_labels_and_is_removed() -> None:
    engine, name = NetworkEngine(), network_name("r1")
    create_private_network(as_engine(engine), name, {"torkd.run": "r1"})
    assert engine.networks == {PRIVATE: {"torkd.run": "r1"}}
    assert remove_private_network(as_engine(engine), name)
    assert engine.networks == {}


def test_a_private_network_that_is_there_already_is_the_runs_own() -> None:
    engine = NetworkEngine()
    for _ in range(2):
        create_private_network(as_engine(engine), PRIVATE, {})
    assert list(engine.networks) == [PRIVATE]


@pytest.mark.parametrize("error", [EngineError("no more addresses"), EngineUnavailable("away")], ids=["full", "away"])
def test_an_engine_that_makes_no_network_is_told_of(error: EngineError) -> None:
    with pytest.raises(type(error), match=rf"^the network for the sidecars can't be made: {error}$"):
        create_private_network(as_engine(NetworkEngine(error)), PRIVATE, {})


def test_an_engine_that_takes_too_long_is_not_waited_for(slow: NetworkEngine) -> None:
    with pytest.raises(EngineUnavailable, match=r"Docker at unix:///run/d.sock took more than 0.01s$"):
        create_private_network(as_engine(slow), PRIVATE, {}, limit_seconds=0.01)


def test_a_private_network_still_in_use_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "FIRST_PAUSE_SECONDS", 0.0)
    engine = NetworkEngine()
    create_private_network(as_engine(engine), PRIVATE, {})
    engine.busy_tries = 2
    assert remove_private_network(as_engine(engine), PRIVATE)
    assert engine.networks == {}
