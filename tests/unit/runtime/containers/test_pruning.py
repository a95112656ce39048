"""Unused images go, and only those that torkd pulled and nobody needs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.fake_containers import Remote
from tests.support.fake_engine import FakeEngine
from tests.support.runs import RecordedLog
from torkd.runtime.containers.engine import EngineError, EngineUnavailable
from torkd.runtime.containers.image_ledger import ImageLedger
from torkd.runtime.containers.images import ImageStore
from torkd.runtime.containers.pruning import prune
from torkd.runtime.stopping import StopSignal

HOUR = 3600.0


class World:
    """An engine with an image of the operator's and some of torkd's, and a clock."""

    def __init__(self, path: Path | None = None) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.engine = FakeEngine("operators")
        for image in ("alpine", "debian:12", "reg.test/app:1"):
            self.engine.remote[image] = Remote()
        self.path = path
        self.store = self.restart()

    def restart(self) -> ImageStore:
        return ImageStore(self.engine, ImageLedger(self.path, now=lambda: self.now))

    def ensure(self, *images: str) -> None:
        for image in images:
            self.store.ensure(image, lambda: None, RecordedLog(), StopSignal())

    def pass_hours(self, hours: float) -> None:
        self.now += timedelta(hours=hours)


@pytest.fixture
def world() -> World:
    return World()


def test_an_image_goes_when_it_was_unused_for_longer_than_its_time(world: World) -> None:
    world.ensure("alpine")
    world.pass_hours(1)
    assert prune(world.store, ttl_seconds=HOUR) == []

    world.pass_hours(0.1)
    assert prune(world.store, ttl_seconds=HOUR) == ["alpine"]
    assert not world.engine.has_image("alpine")
    assert world.store.ledger.entries() == []


def test_the_last_use_counts(world: World) -> None:
    world.ensure("alpine", "debian:12")
    world.pass_hours(2)
    with world.store.use("docker.io/library/alpine"):
        world.pass_hours(2)
    world.pass_hours(0.5)

    assert prune(world.store, ttl_seconds=HOUR) == ["debian:12"]


def test_an_image_in_use_stays_however_long_the_task_takes(world: World) -> None:
    world.ensure("alpine")
    with world.store.use("alpine"), world.store.use("alpine"):
        world.pass_hours(100)
        assert prune(world.store, ttl_seconds=HOUR) == []
    world.pass_hours(2)
    assert prune(world.store, ttl_seconds=HOUR) == ["alpine"]


def test_a_use_that_begins_during_the_pass_keeps_its_image(world: World) -> None:
    world.ensure("alpine", "debian:12")
    world.pass_hours(2)
    uses: list[AbstractContextManager[None]] = []

    def begin_use(call: object) -> None:
        if not uses:
            uses.append(world.store.use("debian:12"))
            uses[0].__enter__()

    world.engine.interfere(begin_use)
    assert prune(world.store, ttl_seconds=HOUR) == ["alpine"]
    uses[0].__exit__(None, None, None)


def test_without_a_time_nothing_goes(world: World) -> None:
    world.ensure("alpine")
    world.pass_hours(10_000)

    assert prune(world.store, ttl_seconds=None) == []


def test_what_torkd_did_not_pull_stays(world: World) -> None:
    world.ensure("operators")
    world.pass_hours(100)

    assert prune(world.store, ttl_seconds=HOUR) == []
    assert world.engine.has_image("operators")


def test_what_the_operator_put_in_an_images_place_stays(world: World) -> None:
    world.ensure("alpine")
    world.engine.images["alpine:latest"] = "sha256:built by hand"
    world.pass_hours(2)

    assert prune(world.store, ttl_seconds=HOUR) == []
    assert world.engine.has_image("alpine")
    assert world.store.ledger.entries() == []


def test_an_image_that_a_strangers_container_uses_stays_until_it_is_gone(world: World) -> None:
    world.ensure("alpine")
    world.engine.create_container("neighbour", {"Image": "alpine"})
    world.pass_hours(2)
    assert prune(world.store, ttl_seconds=HOUR) == []

    world.engine.remove_container("neighbour")
    assert prune(world.store, ttl_seconds=HOUR) == ["alpine"]


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        ("alpine", "alpine"),
        ("alpine:latest", "alpine"),
        ("alpine:*", "alpine"),
        ("docker.io/library/alpine:latest", "alpine"),
        ("docker.io/library/*", "alpine debian:12"),
        ("debian:1?", "debian:12"),
        ("debian", ""),
        ("reg.test/*", "reg.test/app:1"),
        ("REG.test/*", ""),
        ("*", "alpine debian:12 reg.test/app:1"),
    ],
)
def test_patterns_keep_images(world: World, pattern: str, kept: str) -> None:
    world.ensure("alpine", "debian:12", "reg.test/app:1")
    world.pass_hours(2)
    prune(world.store, ttl_seconds=HOUR, keep=[pattern])

    assert " ".join(entry.name for entry in world.store.ledger.entries()) == kept


@pytest.mark.parametrize("error", [EngineError("broken"), EngineUnavailable("away")], ids=["refused", "away"])
@pytest.mark.parametrize("method", ["image_id", "remove_image"])
def test_an_image_that_cannot_be_removed_does_not_save_the_others(
    world: World, method: str, error: EngineError
) -> None:
    world.ensure("alpine", "debian:12")
    world.pass_hours(2)
    world.engine.fail(method, nth=world.engine.count(method) + 1, error=error)

    assert prune(world.store, ttl_seconds=HOUR) == ["debian:12"]
    assert prune(world.store, ttl_seconds=HOUR) == ["alpine"]


def test_an_image_that_is_gone_already_is_forgotten(world: World) -> None:
    world.ensure("alpine")
    world.engine.remove_image("alpine")
    world.pass_hours(2)

    assert prune(world.store, ttl_seconds=HOUR) == []
    assert world.store.ledger.entries() == []


def test_a_pruned_image_is_pulled_again_when_it_is_needed(world: World) -> None:
    world.ensure("alpine")
    world.pass_hours(2)
    prune(world.store, ttl_seconds=HOUR)
    world.ensure("alpine")

    assert world.engine.has_image("alpine")


def test_unused_time_goes_on_over_a_restart(tmp_path: Path) -> None:
    world = World(tmp_path / "images.json")
    world.ensure("alpine")
    world.pass_hours(2)

    assert prune(world.restart(), ttl_seconds=HOUR) == ["alpine"]


def test_another_process_does_not_remove_what_this_one_uses(tmp_path: Path) -> None:
    world = World(tmp_path / "images.json")
    world.ensure("alpine")
    with world.store.use("alpine"):
        world.pass_hours(0.9)
        prune(world.store, ttl_seconds=HOUR)
        world.pass_hours(0.9)
        assert prune(world.restart(), ttl_seconds=HOUR) == []


def test_a_use_by_another_process_during_the_pass_keeps_its_image(tmp_path: Path) -> None:
    world = World(tmp_path / "images.json")
    world.ensure("alpine", "debian:12")
    world.pass_hours(2)
    other = world.restart()
    world.engine.interfere(lambda call: other.ledger.touch("docker.io/library/debian:12"))

    assert prune(world.store, ttl_seconds=HOUR) == ["alpine"]


def test_wanting_an_image_counts_as_using_it(world: World) -> None:
    world.ensure("alpine")
    world.pass_hours(2)
    world.ensure("alpine")

    assert prune(world.store, ttl_seconds=HOUR) == []
