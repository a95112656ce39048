"""The fake engine is as strict as the real ones where tests of cleaning up rely on it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_containers import Behaviour, Remote
from tests.support.fake_engine import FakeEngine
from tests.support.waiting import wait_until
from torkd.runtime.containers.engine import (
    Credentials,
    Engine,
    EngineError,
    EngineUnavailable,
    PullEvent,
    ResourceBusy,
    ResourceMissing,
    Standing,
)

CONFIG = {
    "Image": "bb",
    "Labels": {"torkd.node": "n"},
    "HostConfig": {"Binds": ["data:/data"], "NetworkMode": "net"},
}


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine("bb")


def test_it_is_an_engine(engine: FakeEngine) -> None:
    port: Engine = engine
    port.ping()


@pytest.mark.parametrize(
    ("act", "error"),
    [
        pytest.param(lambda e: e.remove_volume("data"), ResourceBusy, id="volume in use"),
        pytest.param(lambda e: e.remove_network("net"), ResourceBusy, id="network with a container"),
        pytest.param(lambda e: e.remove_image("bb:latest"), ResourceBusy, id="image in use"),
        pytest.param(lambda e: e.create_container("c", CONFIG), ResourceBusy, id="name taken"),
        pytest.param(lambda e: e.create_network("net", labels={}), ResourceBusy, id="network name taken"),
        pytest.param(lambda e: e.create_container("d", {"Image": "other"}), ResourceMissing, id="no image"),
        pytest.param(lambda e: e.start_container("d"), ResourceMissing, id="no container to start"),
        pytest.param(lambda e: e.inspect_container("d"), ResourceMissing, id="no container to look at"),
        pytest.param(lambda e: e.put_archive("c", "/nowhere", b""), ResourceMissing, id="no directory"),
        pytest.param(lambda e: e.connect_network("other", "c", []), ResourceMissing, id="no network"),
    ],
)
def test_it_refuses_what_engines_refuse(
    engine: FakeEngine, act: Callable[[FakeEngine], object], error: type[EngineError]
) -> None:
    engine.create_network("net", labels={})
    engine.create_container("c", CONFIG)
    before = engine.leftovers()

    with pytest.raises(error):
        act(engine)

    assert engine.leftovers() == before


def test_what_is_not_there_counts_as_removed(engine: FakeEngine) -> None:
    engine.remove_container("x")
    engine.remove_volume("x")
    engine.remove_network("x")
    engine.remove_image("x")


def test_a_missing_network_is_noticed_when_a_container_starts(engine: FakeEngine) -> None:
    engine.create_container("c", CONFIG)

    with pytest.raises(ResourceMissing, match="net"):
        engine.start_container("c")


def test_leftovers_tell_all_that_is_there(engine: FakeEngine) -> None:
    engine.create_network("net", labels={})
    container = engine.create_container("c", CONFIG)
    assert engine.leftovers() == ["container c", "volume data", "network net"]

    engine.remove_container(container)
    engine.remove_network("net")
    engine.remove_volume("data")
    assert engine.leftovers() == []


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ([], ["a", "b"]),
        (["torkd.run"], ["a", "b"]),
        (["torkd.run=2"], ["b"]),
        (["torkd.run", "torkd.job"], []),
    ],
    ids=["all", "by name", "by value", "every label counts"],
)
def test_lists_are_filtered_by_labels(engine: FakeEngine, labels: list[str], found: list[str]) -> None:
    for name, run in (("a", "1"), ("b", "2")):
        engine.create_container(name, {"Image": "bb", "Labels": {"torkd.run": run}})
        engine.create_volume(name, options={}, labels={"torkd.run": run})
        engine.create_network(name, labels={"torkd.run": run})

    for list_ in (engine.list_containers, engine.list_volumes, engine.list_networks):
        assert [resource.name for resource in list_(labels)] == found


def test_a_container_does_what_its_behaviour_says(engine: FakeEngine, tmp_path: Path) -> None:
    engine.behaviours["main"] = Behaviour(
        output=[("stdout", b"a"), ("stderr", b"b")], exit_code=3, files={"/tork/stdout": b"out", "/etc/x": b"x"}
    )
    config = {"Image": "bb", "HostConfig": {"Binds": [f"{tmp_path}:/tork:rw"]}}
    container = engine.create_container("torkd-1-main", config)
    engine.start_container("torkd-1-main")

    assert engine.wait_container(container) == 3
    assert list(engine.follow_log(container)) == [("stdout", b"a"), ("stderr", b"b")]
    assert (tmp_path / "stdout").read_bytes() == b"out"
    assert engine.read_file(container, "/tork/stdout", 2) == (b"ou", 3)
    assert engine.read_file(container, "/etc/x", 10) == (b"x", 1)
    assert engine.read_file(container, "/etc/y", 10) is None
    assert engine.inspect_container(container).standing is Standing.ENDED


def test_an_archive_lands_in_the_volume_that_is_mounted_there(engine: FakeEngine) -> None:
    mount = {"Type": "volume", "Source": "v", "Target": "/tork"}
    for name in ("a", "b"):
        engine.create_container(name, {"Image": "bb", "HostConfig": {"Mounts": [mount]}})

    engine.put_archive("a", "/tork", _tar("entrypoint", b"echo"))

    assert engine.read_file("b", "/tork/entrypoint", 10) == (b"echo", 4)
    assert engine.volumes["v"].tree.modes == {"/entrypoint": 0o555}


def test_a_staying_container_is_followed_until_it_ends(engine: FakeEngine) -> None:
    _start(engine, Behaviour(stays=True))
    with ThreadPoolExecutor() as pool:
        log = pool.submit(lambda: list(engine.follow_log("c")))
        code = pool.submit(engine.wait_container, "c")
        wait_until(lambda: engine.count("wait_container") and engine.count("follow_log"))
        engine.say("c", b"hello")
        assert not code.done()
        engine.end("c", 7)

        assert (code.result(10), log.result(10)) == (7, [("stdout", b"hello")])


@pytest.mark.parametrize(
    ("act", "code"),
    [
        pytest.param(lambda e: e.stop_container("c", 5.0), 143, id="stopped"),
        pytest.param(lambda e: e.remove_container("c"), 137, id="removed"),
    ],
)
def test_a_waiting_call_ends_with_the_container(
    engine: FakeEngine, act: Callable[[FakeEngine], None], code: int
) -> None:
    _start(engine, Behaviour(stays=True))
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(engine.wait_container, "c")
        wait_until(lambda: engine.count("wait_container"))
        act(engine)
        assert waiting.result(10) == code


def test_closing_a_log_ends_its_reading(engine: FakeEngine) -> None:
    _start(engine, Behaviour(stays=True))
    stream = engine.follow_log("c")
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(list, stream)
        stream.close()
        assert reading.result(10) == []


def test_losing_the_engine_cuts_off_what_waits_and_ends_nothing(engine: FakeEngine) -> None:
    _start(engine, Behaviour(stays=True))
    with ThreadPoolExecutor() as pool:
        waits: list[Any] = [
            pool.submit(engine.wait_container, "c"),
            pool.submit(lambda: list(engine.follow_log("c"))),
        ]
        wait_until(lambda: engine.count("wait_container") and engine.count("follow_log"))
        engine.lose()
        for waiting in waits:
            with pytest.raises(EngineUnavailable):
                waiting.result(10)
    with pytest.raises(EngineUnavailable):
        engine.ping()

    engine.recover()
    assert engine.inspect_container("c").standing is Standing.RUNNING
    engine.recover(ended=True)
    assert engine.inspect_container("c").exit_code == 137


@pytest.mark.parametrize(("after", "left"), [(False, []), (True, ["volume v"])], ids=["before", "after"])
@pytest.mark.parametrize(("method", "nth"), [("create_volume", 1), ("", 2)], ids=["call of a method", "call of all"])
def test_a_call_fails_before_or_after_its_effect(
    engine: FakeEngine, method: str, nth: int, after: bool, left: list[str]
) -> None:
    engine.fail(method, nth=nth, after=after, error=ResourceBusy("injected"))
    engine.ping()
    with pytest.raises(ResourceBusy, match="injected"):
        engine.create_volume("v", options={}, labels={})

    assert engine.leftovers() == left
    engine.create_volume("v", options={}, labels={})
    assert engine.count("create_volume") == 2


def test_a_pull_brings_the_image(engine: FakeEngine) -> None:
    engine.remote["alpine"] = Remote(events=[PullEvent(status="Pulling fs layer")])

    assert not engine.has_image("alpine")
    assert [event.status for event in engine.pull_image("alpine", None)] == ["Pulling fs layer"]
    assert engine.has_image("docker.io/library/alpine:latest")


@pytest.mark.parametrize(
    ("remote", "reason"),
    [
        pytest.param(None, "access denied", id="unknown"),
        pytest.param(Remote(credentials=Credentials(username="u")), "access denied", id="without credentials"),
        pytest.param(Remote(error="disk full"), "disk full", id="broken off"),
    ],
)
def test_a_pull_fails_with_its_reason(engine: FakeEngine, remote: Remote | None, reason: str) -> None:
    if remote is not None:
        engine.remote["x"] = remote
    with pytest.raises(EngineError, match=reason):
        list(engine.pull_image("x", None))
    assert not engine.has_image("x")


def test_a_held_pull_waits_to_be_released_or_closed(engine: FakeEngine) -> None:
    engine.remote["x"] = Remote(held=True)
    closed, released = engine.pull_image("x", None), engine.pull_image("x", None)
    with ThreadPoolExecutor() as pool:
        readings = [pool.submit(list, stream) for stream in (closed, released)]
        closed.close()
        assert readings[0].result(10) == []
        assert not engine.has_image("x")
        engine.release("x")
        readings[1].result(10)
    assert engine.has_image("x")


def _start(engine: FakeEngine, behaviour: Behaviour) -> None:
    engine.behaviours["c"] = behaviour
    engine.create_container("c", {"Image": "bb"})
    engine.start_container("c")


def _tar(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(data), 0o555
        tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
