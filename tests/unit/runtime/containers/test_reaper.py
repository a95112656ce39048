"""What the reaper takes: all that carries its node's id and belongs to no run of it, and what dead nodes of this host left."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import pytest

from tests.support.container_play import NODE, ServedEngine, reap
from tests.support.fake_containers import Behaviour
from torkd.runtime.containers.engine import EngineError, EngineUnavailable
from torkd.runtime.containers.reaper import Reaper

pytestmark = pytest.mark.usefixtures("quick")
GONE_AFTER = 15.0


class Host:
    """Dead nodes, a clock, and what was forgotten."""

    def __init__(self, engine: ServedEngine) -> None:
        self.engine = engine
        self.now = 100.0
        self.dead: list[str] = []
        self.is_locked = False
        self.with_leases: set[str] = set()
        self.forgotten: list[str] = []
        self.reaper = Reaper(
            engine,
            NODE,
            owned_runs=tuple,
            dead_nodes=self.lock,
            lost_among=self.lost_among,
            forget_node=self.forget,
            gone_after_seconds=GONE_AFTER,
            clock=lambda: self.now,
        )

    def lost_among(self, nodes: Collection[str]) -> set[str]:
        return set(nodes) - self.with_leases

    @contextmanager
    def lock(self) -> Iterator[list[str]]:
        self.is_locked = True
        yield list(self.dead)
        self.is_locked = False

    def forget(self, node: str) -> None:
        assert self.is_locked
        self.forgotten.append(node)


@pytest.fixture
def host(engine: ServedEngine) -> Host:
    return Host(engine)


def make(engine: ServedEngine, node: str, run: str) -> None:
    """A running container with a volume, on a network."""
    labels = {"torkd.node": node, "torkd.run": run, "torkd.step": "main"}
    engine.behaviours["-c"] = Behaviour(stays=True)
    engine.create_network(f"{node}-{run}-n", labels=labels)
    engine.create_volume(f"{node}-{run}-v", options={}, labels=labels)
    mounts = [{"Type": "volume", "Source": f"{node}-{run}-v", "Target": "/v"}]
    host = {"Mounts": mounts, "NetworkMode": f"{node}-{run}-n"}
    engine.create_container(f"{node}-{run}-c", {"Image": "bb", "Labels": labels, "HostConfig": host})
    engine.start_container(f"{node}-{run}-c")


def runs_left(engine: ServedEngine) -> set[str]:
    return {name.split(" ")[1].rsplit("-", 1)[0] for name in engine.leftovers()}


def test_containers_go_first_so_that_volumes_and_networks_can_go(engine: ServedEngine) -> None:
    make(engine, NODE, "r1")
    assert reap(engine) == 3
    assert engine.leftovers() == []


def test_what_a_run_of_ours_has_stays(engine: ServedEngine) -> None:
    make(engine, NODE, "r1")
    make(engine, NODE, "r2")
    reap(engine, owned={"r2"})
    assert runs_left(engine) == {f"{NODE}-r2"}


def test_what_a_neighbour_or_anybody_else_has_stays(engine: ServedEngine, host: Host) -> None:
    make(engine, "neighbour", "r1")
    engine.create_container("foreign", {"Image": "bb"})
    for _ in range(3):
        host.reaper.reap()
        host.now += 1000
    assert len(engine.leftovers()) == 4
    assert not host.forgotten


def test_what_a_dead_node_has_goes_only_when_it_was_dead_for_long(engine: ServedEngine, host: Host) -> None:
    make(engine, "dead", "r1")
    host.dead = ["dead"]
    host.reaper.reap()
    host.now += GONE_AFTER - 0.1
    host.reaper.reap()
    assert runs_left(engine) == {"dead-r1"}
    assert not host.forgotten
    host.now += 0.1
    host.reaper.reap()
    assert engine.leftovers() == []
    assert host.forgotten == ["dead"]


def test_what_a_dead_node_has_stays_as_long_as_its_lease_may_be_taken_up(engine: ServedEngine, host: Host) -> None:
    make(engine, "dead", "r1")
    host.dead, host.with_leases = ["dead"], {"dead"}
    host.reaper.reap()
    host.now += 10 * GONE_AFTER
    assert host.reaper.reap() == 0
    assert host.forgotten == []
    host.with_leases.clear()
    assert host.reaper.reap() == 3
    assert host.forgotten == ["dead"]


def test_a_node_that_lived_in_between_is_dead_anew(engine: ServedEngine, host: Host) -> None:
    make(engine, "dead", "r1")
    host.dead = ["dead"]
    host.reaper.reap()
    host.now += GONE_AFTER - 1
    host.dead = []
    host.reaper.reap()
    host.dead = ["dead"]
    host.now += 1
    host.reaper.reap()
    assert runs_left(engine) == {"dead-r1"}


def test_it_happens_while_the_dead_nodes_lock_is_held(engine: ServedEngine, host: Host) -> None:
    make(engine, "dead", "r1")
    host.dead = ["dead"]
    host.reaper.reap()
    held: list[bool] = []
    engine.interfere(lambda call: held.append(host.is_locked) if call.method.startswith("remove") else None)
    host.now += GONE_AFTER
    host.reaper.reap()
    assert held == [True, True, True]


def test_a_dead_node_of_which_something_stays_is_not_forgotten(engine: ServedEngine, host: Host) -> None:
    make(engine, "dead", "r1")
    host.dead = ["dead"]
    host.reaper.reap()
    host.now += GONE_AFTER
    engine.fail("remove_container", error=EngineError("device is busy"))
    host.reaper.reap()
    assert not host.forgotten
    host.reaper.reap()
    assert host.forgotten == ["dead"]
    assert engine.leftovers() == []


@pytest.mark.parametrize("method", ["remove_container", "remove_volume", "remove_network"])
def test_what_can_not_be_removed_keeps_nothing_else(engine: ServedEngine, method: str) -> None:
    make(engine, NODE, "r1")
    make(engine, NODE, "r2")

    def refuse(call: object) -> None:
        if getattr(call, "method", "") == method and "r1" in str(getattr(call, "arguments", "")):
            raise EngineError("it is busy")

    engine.interfere(refuse)
    reap(engine)
    assert runs_left(engine) == {f"{NODE}-r1"}


def test_an_engine_that_is_away_is_told(engine: ServedEngine) -> None:
    engine.lose()
    with pytest.raises(EngineUnavailable):
        reap(engine)
