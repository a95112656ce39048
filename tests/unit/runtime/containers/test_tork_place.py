"""`/tork` of a container: what goes in with which rights, what comes out, and that nothing a container leaves there stays."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.container_play import PlayedRun, ServedEngine, an_equipment
from tests.support.fake_calls import Call
from tests.support.fake_containers import Behaviour
from tork.errors import RuntimeFailure
from tork.task import TaskDefinition
from torkd.runtime.containers import tork_place
from torkd.runtime.containers.engine import EngineError
from torkd.runtime.containers.execution import Execution
from torkd.runtime.containers.tork_place import BoundPlace, VolumePlace, directory_in_tork
from torkd.runtime.plain_file import MAX_RESULT_SIZE

FILES = {"a.txt": b"a", "deep/er/b": b"b\0\xff", "deep/c": b""}


@pytest.fixture
def place(tmp_path: Path) -> BoundPlace:
    place = BoundPlace(tmp_path / "main")
    place.make("echo hi\n", FILES)
    return place


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


@pytest.mark.parametrize(
    ("name", "rights"),
    [
        ("", 0o755),
        ("stdout", 0o222),
        ("progress", 0o222),
        ("entrypoint", 0o555),
        ("workdir", 0o777),
        ("workdir/deep", 0o777),
        ("workdir/deep/er", 0o777),
        ("workdir/a.txt", 0o444),
        ("workdir/deep/er/b", 0o444),
    ],
)
@pytest.mark.parametrize("umask", [0o022, 0o077, 0])
def test_rights_do_not_depend_on_ours(tmp_path: Path, name: str, rights: int, umask: int) -> None:
    old = os.umask(umask)
    try:
        BoundPlace(tmp_path / "main").make("x", FILES)
    finally:
        os.umask(old)
    assert mode(tmp_path / "main" / name) == rights


def test_who_is_not_root_can_read_what_the_container_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    BoundPlace(tmp_path / "main").make("x", {})
    assert mode(tmp_path / "main" / "stdout") == 0o622
    assert mode(tmp_path / "main" / "progress") == 0o622


def test_contents_are_as_given(place: BoundPlace) -> None:
    assert (place.path / "entrypoint").read_bytes() == b"echo hi\n"
    assert {name: (place.path / "workdir" / name).read_bytes() for name in FILES} == FILES


@pytest.mark.parametrize("directory", [".", "sub", "sub/deeper"])
def test_files_go_to_the_directory_of_it_that_the_task_works_in(tmp_path: Path, directory: str) -> None:
    BoundPlace(tmp_path / "main").make(None, FILES, directory)
    assert {name: (tmp_path / "main" / directory / name).read_bytes() for name in FILES} == FILES
    assert not (tmp_path / "main" / "workdir").exists()


@pytest.mark.parametrize(
    ("directory", "inside"),
    [("/tork", "."), ("/tork/workdir", "workdir"), ("/tork/a/b", "a/b"), ("/torkx", None), ("/", None), (None, None)],
)
def test_what_lies_in_it_is_told_from_what_lies_elsewhere(directory: str | None, inside: str | None) -> None:
    assert directory_in_tork(directory) == inside


def test_a_container_without_a_script_and_files_has_neither(tmp_path: Path) -> None:
    BoundPlace(tmp_path / "main").make(None, {})
    assert sorted(entry.name for entry in (tmp_path / "main").iterdir()) == ["progress", "stdout"]


def test_it_is_bound_into_the_container(place: BoundPlace) -> None:
    assert place.mount == {"Type": "bind", "Source": str(place.path), "Target": "/tork"}


@pytest.mark.parametrize(
    "files",
    [{"a": b"", "a/b": b""}, {"x" * 300: b""}, {"a/" * 3000 + "b": b""}],
    ids=["file and directory", "long name", "long path"],
)
def test_what_can_not_be_written_is_one_sentence_and_leaves_nothing(tmp_path: Path, files: dict[str, bytes]) -> None:
    place = BoundPlace(tmp_path / "main")
    with pytest.raises(RuntimeFailure, match=r"can't be written: [A-Z]"):
        place.make("x", files)
    place.remove()
    assert list(tmp_path.iterdir()) == []


class TestResult:
    def test_it_is_the_whole_content_without_nul(self, place: BoundPlace) -> None:
        (place.path / "stdout").write_bytes("  zwölf\0\n\n".encode() + b"\xff")
        assert place.read_result() == "  zwölf\n\n�"

    def test_of_the_most_size_it_is_taken(self, place: BoundPlace) -> None:
        (place.path / "stdout").write_bytes(b"x" * MAX_RESULT_SIZE)
        assert place.read_result() == "x" * MAX_RESULT_SIZE

    @pytest.mark.parametrize("size", [MAX_RESULT_SIZE + 1, 10**12], ids=["by a byte", "sparse"])
    def test_of_more_it_is_refused_unread(self, place: BoundPlace, size: int) -> None:
        os.truncate(place.path / "stdout", size)
        with pytest.raises(RuntimeFailure) as caught:
            place.read_result()
        assert str(caught.value) == (
            f"the output is too large: {size} bytes in TORK_OUTPUT (right would be at most {MAX_RESULT_SIZE})"
        )


def put_link(path: Path) -> None:
    secret = path.with_name("secret")
    secret.write_text("99")
    path.symlink_to(secret)


def put_outer_link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def put_device(path: Path) -> None:
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))


REPLACEMENTS = pytest.mark.parametrize(
    "put",
    [put_link, put_outer_link, os.mkfifo, Path.mkdir, put_device, lambda path: None],
    ids=["a link beside it", "a link elsewhere", "a pipe", "a directory", "a device", "nothing"],
)


@REPLACEMENTS
def test_an_output_that_is_no_plain_file_reads_as_nothing(place: BoundPlace, put: Callable[[Path], None]) -> None:
    if put is put_device and os.geteuid() != 0:
        pytest.skip("only root makes devices")
    (place.path / "stdout").unlink()
    put(place.path / "stdout")
    assert place.read_result() == ""


@REPLACEMENTS
def test_a_progress_that_is_no_plain_file_reads_as_none(place: BoundPlace, put: Callable[[Path], None]) -> None:
    if put is put_device and os.geteuid() != 0:
        pytest.skip("only root makes devices")
    (place.path / "progress").unlink()
    put(place.path / "progress")
    assert place.read_progress() is None


@pytest.mark.parametrize(
    ("written", "progress"),
    [
        (b"", None),
        (b"\n", None),
        (b"42", 42.0),
        (b" 12.5 \n", 12.5),
        (b"almost", None),
        (b"1\n2\n", None),
        (b"\xff\xfe", None),
        (b"\0", None),
        (b"9" * 500, None),
        (b"0x10", None),
    ],
    ids=repr,
)
def test_progress_is_a_number_or_nothing(place: BoundPlace, written: bytes, progress: float | None) -> None:
    (place.path / "progress").write_bytes(written)
    if written == b"9" * 500:
        assert place.read_progress() == float("9" * 64)  # no more is read; the worker takes it for 100
    else:
        assert place.read_progress() == progress


def make_deep(path: Path) -> None:
    top = os.open(path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d" * 20, dir_fd=top)
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=top)
        os.close(top)
        top = below
    os.close(top)


def make_unwritable(path: Path) -> None:
    inner = path / "workdir" / "closed" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    inner.chmod(0o500)
    inner.parent.chmod(0)


@pytest.mark.parametrize("leave", [make_deep, make_unwritable], ids=["a deep tree", "closed directories"])
def test_nothing_that_a_container_left_stays(place: BoundPlace, leave: Callable[[Path], None]) -> None:
    leave(place.path)
    place.remove()
    assert not place.path.exists()


def test_removing_what_is_gone_is_no_error(place: BoundPlace) -> None:
    place.remove()
    place.remove()


class TestVolume:
    def make(self, engine: ServedEngine) -> VolumePlace:
        place = VolumePlace(engine, "v", container="c", labels={"torkd.run": "r1"})
        place.make("echo hi\n", FILES)
        engine.create_container("c", {"Image": "bb", "HostConfig": {"Mounts": [place.mount]}})
        engine.write_file("c", "/tork/.there", b"")
        place.fill()
        return place

    def test_it_carries_the_runs_labels(self, engine: ServedEngine) -> None:
        self.make(engine)
        assert engine.volumes["v"].labels == {"torkd.run": "r1"}

    def test_all_is_in_it_with_its_rights(self, engine: ServedEngine) -> None:
        self.make(engine)
        tree = engine.volumes["v"].tree
        assert tree.files["/entrypoint"] == b"echo hi\n"
        assert {name: tree.files[f"/workdir/{name}"] for name in FILES} == FILES
        assert {tree.modes[f"/workdir/{name}"] for name in FILES} == {0o444}
        assert (tree.modes["/stdout"], tree.modes["/progress"], tree.modes["/entrypoint"]) == (0o222, 0o222, 0o555)

    def test_results_and_progress_are_read_from_it(self, engine: ServedEngine) -> None:
        place = self.make(engine)
        assert (place.read_result(), place.read_progress()) == ("", None)
        engine.write_file("c", "/tork/stdout", b"r\0")
        engine.write_file("c", "/tork/progress", b"7")
        assert (place.read_result(), place.read_progress()) == ("r", 7.0)

    def test_a_result_that_is_too_large_is_refused(self, engine: ServedEngine) -> None:
        place = self.make(engine)
        engine.write_file("c", "/tork/stdout", b"x" * (MAX_RESULT_SIZE + 1))
        with pytest.raises(RuntimeFailure, match="the output is too large: 1048577 bytes"):
            place.read_result()

    def test_it_goes_after_its_container(self, engine: ServedEngine) -> None:
        place = self.make(engine)
        engine.remove_container("c")
        place.remove()
        assert engine.leftovers() == []


@pytest.mark.usefixtures("quick")
class TestForeignFiles:
    """What a container's root left, and a daemon that is not root may not remove."""

    @pytest.fixture(autouse=True)
    def no_rights(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tork_place, "remove_tree", lambda path: None)

    def run(self, engine: ServedEngine, directory: Path) -> str:
        directory.mkdir()
        engine.behaviours["main"] = Behaviour(files={"/tork/stdout": b"result"})
        run = PlayedRun(TaskDefinition(image="bb", run="x"), directory)
        return Execution(run.task_run(), an_equipment(engine)).run()

    def test_the_engine_removes_it_and_the_container_that_did_it_is_gone(
        self, engine: ServedEngine, tmp_path: Path
    ) -> None:
        configs = []

        def remove(call: Call) -> None:
            if call.method == "start_container" and call.arguments[0] == "torkd-r1-main-cleanup":
                configs.append(engine.containers["torkd-r1-main-cleanup"].config)
                shutil.rmtree(tmp_path / "run" / "main")

        engine.interfere(remove, after=True)
        assert self.run(engine, tmp_path / "run") == "result"
        [config] = configs
        assert config["User"] == "0:0"
        assert config["Entrypoint"] == ["rm", "-rf", "/torkd/main"]
        assert config["Image"] == "bb:latest"
        assert config["Labels"]["torkd.run"] == "r1"
        assert config["HostConfig"]["NetworkMode"] == "none"
        assert config["HostConfig"]["Mounts"] == [{"Type": "bind", "Source": str(tmp_path / "run"), "Target": "/torkd"}]
        assert engine.leftovers() == []
        assert list((tmp_path / "run").iterdir()) == []

    @pytest.mark.parametrize(
        ("method", "reason"),
        [
            ("create_container", "no room"),
            ("start_container", 'exec: "rm": executable file not found in $PATH'),
            ("wait_container", "away"),
        ],
    )
    def test_an_image_or_engine_that_can_not_costs_a_warning(
        self,
        engine: ServedEngine,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        method: str,
        reason: str,
    ) -> None:
        def refuse(call: Call) -> None:
            if call.method == method and call.arguments[0] == "torkd-r1-main-cleanup":
                raise EngineError(reason)

        engine.interfere(refuse)
        with caplog.at_level(logging.WARNING):
            assert self.run(engine, tmp_path / "run") == "result"
        assert f"{tmp_path}/run/main can't be removed through Docker: {reason}" in caplog.text
        assert engine.leftovers() == []

    def test_an_rm_that_fails_costs_a_warning(
        self, engine: ServedEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        engine.behaviours["-cleanup"] = Behaviour(exit_code=1)
        assert self.run(engine, tmp_path / "run") == "result"
        assert "rm ended with exit code 1" in caplog.text
        assert engine.leftovers() == []
