"""A run's mounts: what the engine is asked for, what its containers get, and that all of it is undone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.runs import RecordedRun
from tork.errors import RuntimeFailure, TaskStopped
from tork.task import Mount, TaskDefinition
from torkd.runtime.containers import removal
from torkd.runtime.containers.bind_rules import BindRules
from torkd.runtime.containers.engine import Engine, EngineUnavailable, ResourceBusy
from torkd.runtime.containers.mounters import Mounter
from torkd.runtime.containers.mounts import MountRules, Mounts, check_room_for_files, check_target
from torkd.runtime.protocol import TaskRun
from torkd.runtime.stopping import StopReason


class VolumeEngine:
    """The part of an engine that knows volumes."""

    def __init__(self) -> None:
        self.volumes: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
        self.calls: list[str] = []
        self.refuse: dict[str, Exception] = {}
        """By the call, such as `create torkd-r1-volume-0`."""

    def create_volume(self, name: str, *, options: Mapping[str, str], labels: Mapping[str, str]) -> None:
        """The volume is there even when the answer gets lost."""
        self.calls.append(f"create {name}")
        self.volumes[name] = (dict(options), dict(labels))
        if error := self.refuse.get(f"create {name}"):
            raise error

    def remove_volume(self, name: str) -> None:
        self.calls.append(f"remove {name}")
        if error := self.refuse.pop(f"remove {name}", None):
            raise error
        self.volumes.pop(name, None)


class ScriptedMounter:
    """Gives what it is told to."""

    def __init__(self, gives: Mount | Exception) -> None:
        self.gives = gives
        self.unmounted: list[Mount] = []
        self.unmount_error: Exception | None = None

    def mount(self, mount: Mount, run: TaskRun) -> Mount:
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives

    def unmount(self, mounted: Mount, run: TaskRun) -> None:
        self.unmounted.append(mounted)
        if self.unmount_error:
            raise self.unmount_error


NO_BINDS = BindRules(False, [])


def a_run(*mounts: Mount) -> RecordedRun:
    return RecordedRun(TaskDefinition(name="t", mounts=list(mounts)))


def mounts_of(
    run: RecordedRun,
    engine: VolumeEngine | None = None,
    *,
    binds: BindRules = NO_BINDS,
    mounters: Mapping[str, Mounter] | None = None,
    engine_is_here: bool = True,
) -> Mounts:
    rules = MountRules(binds=binds, mounters=mounters or {}, engine_is_here=engine_is_here)
    return Mounts(run.run, cast("Engine", engine or VolumeEngine()), rules)


def entries_of(*mounts: Mount, **rules: Any) -> list[dict[str, Any]]:
    made = mounts_of(a_run(*mounts), **rules)
    made.mount_all()
    return made.entries


def a_volume(target: str = "/data", **opts: str) -> Mount:
    return Mount(type="volume", target=target, opts=opts)


def test_a_volume_is_named_by_the_run_and_its_place_and_carries_the_labels() -> None:
    engine, run = VolumeEngine(), a_run(Mount(type="tmpfs", target="/t"), a_volume(type="tmpfs", device="tmpfs"))
    run.run.labels["torkd.run"] = "r1"
    mounts = mounts_of(run, engine)
    mounts.mount_all()
    assert engine.volumes == {"torkd-r1-volume-1": ({"type": "tmpfs", "device": "tmpfs"}, {"torkd.run": "r1"})}
    assert mounts.entries[1] == {"Type": "volume", "Source": "torkd-r1-volume-1", "Target": "/data"}
    mounts.unmount_all()
    assert engine.volumes == {}


def test_a_bind_gives_the_real_path(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    mount = Mount(type="bind", source=str(tmp_path / "link"), target="/in")
    entries = entries_of(mount, binds=BindRules(True, [str(tmp_path)]))
    assert entries == [{"Type": "bind", "Source": str((tmp_path / "real").resolve()), "Target": "/in"}]


@pytest.mark.parametrize(
    ("readonly", "expected"), [("true", True), ("1", True), ("false", None), ("", None)], ids=["true", "1", "false", ""]
)
def test_a_bind_is_read_only_when_asked(readonly: str, expected: bool | None, tmp_path: Path) -> None:
    mount = Mount(type="bind", source=str(tmp_path), target="/in", opts={"readonly": readonly, "other": "x"})
    assert entries_of(mount, binds=BindRules(True, [str(tmp_path)]))[0].get("ReadOnly") is expected


def test_a_tmpfs_has_its_size_and_mode() -> None:
    plain, sized = entries_of(
        Mount(type="tmpfs", target="/a"), Mount(type="tmpfs", target="/b", opts={"size": "1m", "mode": "700"})
    )
    assert plain == {"Type": "tmpfs", "Target": "/a"}
    assert sized["TmpfsOptions"] == {"SizeBytes": 1024**2, "Mode": 0o700}


@pytest.mark.parametrize(
    ("mount", "reason"),
    [
        (
            Mount(type="nfs", target="/a"),
            r"^unknown mount type: nfs \(right would be one of volume, bind, tmpfs, own\)$",
        ),
        (Mount(type="volume"), "^volume target is required"),
        (Mount(type="bind", source="/"), "^bind target is required"),
        (Mount(type="bind", target="/a"), "^bind source is required"),
        (Mount(type="bind", source="/", target="/a", opts={"readonly": "yes"}), "^bind option readonly 'yes' is not a"),
        (Mount(type="tmpfs"), "^tmpfs target is required"),
        (Mount(type="tmpfs", source="/x", target="/a"), "^tmpfs source should be empty"),
        (Mount(type="tmpfs", target="/a", opts={"size": "big"}), "^tmpfs option size is not a size: big"),
        (Mount(type="volume", source="of-another", target="/a"), "^volume source should be empty"),
        (a_volume(type="ext4", device="/dev/vda"), "^volume option type is not allowed: ext4"),
    ],
    ids=["type", "volume", "bind", "source", "readonly", "tmpfs", "tmpfs source", "size", "volume source", "device"],
)
def test_a_wrong_mount_fails_with_a_sentence(mount: Mount, reason: str) -> None:
    with pytest.raises(RuntimeFailure, match=reason):
        entries_of(mount, binds=BindRules(True, ["/"]), mounters={"own": ScriptedMounter(mount)})


def test_binds_are_refused_when_they_are_not_allowed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match="bind mounts are not allowed"):
        entries_of(Mount(type="bind", source=str(tmp_path), target="/a"))


def test_for_an_engine_elsewhere_no_directory_is_made(tmp_path: Path) -> None:
    mount = Mount(type="bind", source=f"{tmp_path}/new", target="/a")
    (entry,) = entries_of(mount, binds=BindRules(True, [str(tmp_path)]), engine_is_here=False)
    assert entry["Source"] == f"{tmp_path}/new"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "target", ["/tork", "/tork/", "//tork", "/x/../tork", "/./tork/.", "/tork/stdout", "/../tork/a"]
)
def test_the_place_of_the_tasks_own_files_is_taken(target: str) -> None:
    with pytest.raises(RuntimeFailure, match=r"^tmpfs target .* is taken: /tork is where"):
        check_target(Mount(type="tmpfs", target=target))


@pytest.mark.parametrize("target", ["data", "/", "//", "/a/..", "./a", "/a\0b"])
def test_a_target_must_be_a_path_below_the_root(target: str) -> None:
    with pytest.raises(RuntimeFailure, match=r"^volume target .* can't be mounted on"):
        check_target(Mount(type="volume", target=target))


@pytest.mark.parametrize(
    ("target", "cleaned"), [("/data/", "/data"), ("//a//b", "/a/b"), ("/torkd", "/torkd"), ("/x/tork", "/x/tork")]
)
def test_a_target_is_cleaned(target: str, cleaned: str) -> None:
    assert check_target(Mount(type="volume", target=target)) == cleaned


def test_no_two_mounts_have_the_same_target() -> None:
    with pytest.raises(RuntimeFailure, match=r"^mount target /data is used twice"):
        entries_of(a_volume("/data"), a_volume("/x/../data/"))


def test_a_volume_whose_creation_failed_is_removed_with_the_others() -> None:
    engine = VolumeEngine()
    engine.refuse["create torkd-r1-volume-1"] = EngineUnavailable("away")
    mounts = mounts_of(a_run(a_volume("/a"), a_volume("/b"), a_volume("/c")), engine)
    with pytest.raises(EngineUnavailable, match=r"^the volume for /b can't be made: away$"):
        mounts.mount_all()
    mounts.unmount_all()
    assert engine.volumes == {}
    assert engine.calls[-2:] == ["remove torkd-r1-volume-1", "remove torkd-r1-volume-0"]


def test_a_volume_that_is_still_in_use_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "FIRST_PAUSE_SECONDS", 0.0)
    engine = VolumeEngine()
    engine.refuse["remove torkd-r1-volume-0"] = ResourceBusy("in use")
    mounts = mounts_of(a_run(a_volume()), engine)
    mounts.mount_all()
    mounts.unmount_all()
    assert engine.volumes == {}


def test_unmounting_twice_removes_once() -> None:
    engine = VolumeEngine()
    mounts = mounts_of(a_run(a_volume()), engine)
    mounts.mount_all()
    mounts.unmount_all()
    mounts.unmount_all()
    assert engine.calls == ["create torkd-r1-volume-0", "remove torkd-r1-volume-0"]


def test_a_run_taken_up_again_knows_its_volumes_without_asking() -> None:
    engine = VolumeEngine()
    first, again = (mounts_of(a_run(a_volume()), engine) for _ in range(2))
    first.mount_all()
    again.mount_all(resumed=True)
    assert again.entries == first.entries
    assert engine.calls == ["create torkd-r1-volume-0"]
    again.unmount_all()
    assert engine.volumes == {}


def test_a_stopped_run_gets_no_more_mounts() -> None:
    engine, run = VolumeEngine(), a_run(a_volume())
    run.stop.set(StopReason.CANCELLED, "cancelled")
    with pytest.raises(TaskStopped, match="cancelled"):
        mounts_of(run, engine).mount_all()
    assert engine.calls == []


@pytest.mark.parametrize(
    ("given", "entry"),
    [
        (Mount(type="bind", source="/mnt/x", target="/a"), {"Type": "bind", "Source": "/mnt/x", "Target": "/a"}),
        (Mount(type="volume", source="own", target="/a"), {"Type": "volume", "Source": "own", "Target": "/a"}),
        (Mount(type="tmpfs", target="/a"), {"Type": "tmpfs", "Target": "/a"}),
        (a_volume("/a", device="/dev/vda"), {"Type": "volume", "Source": "torkd-r1-volume-0", "Target": "/a"}),
    ],
    ids=["bind", "its own volume", "tmpfs", "a new volume"],
)
def test_what_a_mounter_gives_is_mounted_without_asking_the_rules_of_binds(given: Mount, entry: dict[str, str]) -> None:
    mounter = ScriptedMounter(given)
    mounts = mounts_of(a_run(Mount(type="own", source="x", target="/a")), mounters={"own": mounter})
    mounts.mount_all()
    assert mounts.entries == [entry]
    mounts.unmount_all()
    assert mounter.unmounted == [given]


def test_a_volume_that_a_mounter_keeps_is_neither_made_nor_removed() -> None:
    engine = VolumeEngine()
    mounter = ScriptedMounter(Mount(type="volume", source="own", target="/a"))
    mounts = mounts_of(a_run(Mount(type="own", target="/a")), engine, mounters={"own": mounter})
    mounts.mount_all()
    mounts.unmount_all()
    assert engine.calls == []


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (Mount(type="own", target="/a"), "^unknown mount type: own, which the mounter of type own gave"),
        (Mount(type="bind", source="/x", target="/tork/"), "is taken: /tork is where"),
        (Mount(type="bind", target="/a"), "^bind source is required"),
    ],
    ids=["type", "target", "source"],
)
def test_a_wrong_answer_of_a_mounter_fails_the_task_and_is_unmounted(given: Mount, reason: str) -> None:
    mounter = ScriptedMounter(given)
    mounts = mounts_of(a_run(Mount(type="own", target="/a")), mounters={"own": mounter})
    with pytest.raises(RuntimeFailure, match=reason):
        mounts.mount_all()
    mounts.unmount_all()
    assert mounter.unmounted == [given]


def test_a_mounter_that_fails_to_unmount_holds_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    engine, mounter = VolumeEngine(), ScriptedMounter(Mount(type="tmpfs", target="/b"))
    mounter.unmount_error = ValueError("stuck")
    mounts = mounts_of(a_run(a_volume(), Mount(type="own", target="/b")), engine, mounters={"own": mounter})
    mounts.mount_all()
    with caplog.at_level(logging.ERROR):
        mounts.unmount_all()
    assert engine.volumes == {}
    assert caplog.messages == ["the mount of type own of run r1 could not be undone"]


@pytest.mark.parametrize(
    ("directory", "is_refused"),
    [
        pytest.param("/memory", True, id="a tmpfs"),
        pytest.param("/memory/below", True, id="below a tmpfs"),
        pytest.param("/memory-not", False, id="beside it"),
        pytest.param("/fixed/x", True, id="a read-only bind"),
        pytest.param("/data", False, id="a volume"),
        pytest.param("/proc/1", True, id="the kernel's"),
        pytest.param("/work", False, id="the image's"),
    ],
)
def test_files_are_refused_where_they_would_be_lost(directory: str, is_refused: bool) -> None:
    mounts: list[dict[str, Any]] = [
        {"Type": "tmpfs", "Target": "/memory"},
        {"Type": "bind", "Source": "/srv", "Target": "/fixed", "ReadOnly": True},
        {"Type": "volume", "Source": "v", "Target": "/data"},
    ]
    if not is_refused:
        check_room_for_files(directory, mounts)
        return
    with pytest.raises(RuntimeFailure, match=f"^files can't be put into {directory}: it is in .* another workdir"):
        check_room_for_files(directory, mounts)
