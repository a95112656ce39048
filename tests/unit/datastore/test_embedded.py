"""What the embedded PostgreSQL decides without a server: places, names and sentences."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

import pytest

from tork.errors import StartError
from torkd.datastore import embedded, embedded_lock, embedded_user, keeper
from torkd.datastore.embedded import data_directory, first_free_run_directory


def test_configured_data_directory_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert data_directory("/srv/tork") == Path("/srv/tork")
    assert data_directory("~/tork") == Path("/home/ada/tork")
    assert data_directory("tork") == Path.cwd() / "tork"


@pytest.mark.parametrize("unset", [None, ""], ids=["unset", "empty"])
def test_root_keeps_its_data_where_an_unprivileged_user_may_enter(
    monkeypatch: pytest.MonkeyPatch, unset: str | None
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert data_directory(unset) == Path("/var/lib/tork")


@pytest.mark.skipif(sys.platform != "linux", reason="the place is the system's convention")
def test_normal_user_keeps_its_data_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert data_directory(None) == Path("/home/ada/.local/share/tork")


def test_first_run_directory_that_is_not_locked_is_free(tmp_path: Path) -> None:
    locks = []
    for name in ("run-1", "run-2", "run-3"):
        (tmp_path / name).mkdir()
        locks.append(embedded_lock.take(tmp_path / name / "lock"))
    assert first_free_run_directory(tmp_path) == tmp_path / "run-4"
    locks[1].release()
    assert first_free_run_directory(tmp_path) == tmp_path / "run-2"
    locks[0].release()
    locks[2].release()


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (
            'initdb: error: could not create directory "x": No space left on device',
            "the disk that holds /srv/postgres is full, so the embedded PostgreSQL can't start: free some space",
        ),
        (
            "2026-11-23 08:00:46.936 UTC [6045] FATAL:  could not create lock file: Permission denied",
            (
                "the embedded PostgreSQL did not start: could not create lock file: Permission denied "
                "(its log is /srv/postgres/server.log)"
            ),
        ),
    ],
    ids=["full disk", "anything else"],
)
def test_trouble_of_the_server_becomes_one_sentence(reason: str, sentence: str) -> None:
    assert embedded._server_trouble(Path("/srv/postgres"), reason) == sentence


def test_secrets_of_the_environment_are_not_handed_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORK_SECRET", "hunter2")
    monkeypatch.setenv("PATH", "/usr/bin")
    environment = embedded._environment(Path("/srv"))
    assert environment["PATH"] == "/usr/bin"
    assert "hunter2" not in environment.values()


def test_data_of_another_user_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(StartError, match=r"and this is user id 54321: start as that user, or set data.dir"):
        embedded_user.choose_user(tmp_path)
    assert tmp_path.stat().st_uid == me


def test_root_without_an_open_directory_or_namespaces_is_told_both_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(embedded_user, "_unprivileged", list)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(StartError, match=r"start as a normal user, or set data.dir .TORK_DATA_DIR."):
        embedded_user.choose_user(tmp_path / "postgres")


def test_socket_directory_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    user = embedded_user.ServerUser(uid=os.geteuid(), gid=os.getegid())
    (tmp_path / "socket").mkdir()
    (tmp_path / "socket").chmod(0o777)
    with pytest.raises(StartError, match=r"is not a directory that only .* may enter: remove it"):
        embedded._socket_directory(tmp_path, user, "5432")


def test_socket_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    user = embedded_user.ServerUser(uid=os.geteuid(), gid=os.getegid())
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "socket").symlink_to(tmp_path / "real")
    with pytest.raises(StartError, match="is not a directory that only"):
        embedded._socket_directory(tmp_path, user, "5432")


def test_keeper_imports_only_a_few_modules_of_the_standard_library() -> None:
    """It is started by its path, where our packages can't be found, and each import delays every start."""
    tree = ast.parse(Path(keeper.__file__).read_text())
    imported = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    assert sorted(imported) == ["os", "select", "signal", "sys", "time"]
    assert [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)] == ["__future__"]
