"""What killed daemons leave on a machine is told and removed; what lives is not touched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import wait_until
from tork.diagnosis import Check
from torkd.doctor.host import CONTAINERS, WORK, HostPlaces, examine_host, treat_host
from torkd.node_identity import claim_identity

DAEMON = """
import os, subprocess, sys, time
from pathlib import Path
from torkd.runtime.identity import Identity
from torkd.runtime.work_area import WorkArea
area = WorkArea(Path(sys.argv[1]), "node", Identity(None, None))
work = area.take()
task = subprocess.Popen(["sleep", "600"], env={**os.environ, "WORKDIR": str(work)}, start_new_session=True)
print(area.path, task.pid, flush=True)
time.sleep(600)
"""


class KilledDaemon:
    """Has a work directory and a task in it; `kill` leaves both."""

    def __init__(self, temp: Path) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", DAEMON, str(temp)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        path, pid = self.process.stdout.readline().split()
        self.directory, self.task = Path(path), psutil.Process(int(pid))
        wait_until(lambda: "WORKDIR" in self.task.environ())  # on its way to another program it has none for a moment

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()
        if self.task.is_running():
            self.task.kill()


@pytest.fixture
def places(tmp_path: Path) -> HostPlaces:
    for name in ("data", "temp"):
        (tmp_path / name).mkdir()
    return HostPlaces(data=tmp_path / "data", temp=tmp_path / "temp", runs=tmp_path / "data" / "runs")


@pytest.fixture
def daemon(places: HostPlaces) -> Iterator[KilledDaemon]:
    daemon = KilledDaemon(places.temp)
    yield daemon
    daemon.close()


def check(places: HostPlaces, name: str) -> Check:
    return next(check for check in examine_host(places).checks if check.name == name)


def is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_daemon_that_lives_has_left_nothing(places: HostPlaces, daemon: KilledDaemon) -> None:
    assert examine_host(places).ok
    treat_host(places, dry_run=False)
    assert daemon.directory.is_dir()
    assert daemon.task.is_running()


def test_processes_and_directories_of_a_killed_daemon_are_told_then_removed(
    places: HostPlaces, daemon: KilledDaemon
) -> None:
    daemon.kill()
    found = check(places, WORK)
    assert (found.ok, found.ids) == (False, [str(daemon.directory)])
    assert f"with the processes {daemon.task.pid}" in found.message
    would = treat_host(places, dry_run=True)
    assert (would.dry_run, [repair.name for repair in would.repairs]) == (True, [WORK])
    assert daemon.directory.is_dir()
    assert not is_gone(daemon.task)
    done = treat_host(places, dry_run=False)
    assert (done.repairs, done.after.ok) == (would.repairs, True)
    assert not daemon.directory.exists()
    wait_until(lambda: is_gone(daemon.task))
    assert treat_host(places, dry_run=False).repairs == []


def test_runs_in_containers_are_told_once_their_node_is_dead(places: HostPlaces) -> None:
    identity = claim_identity(places.data, "worker")
    (places.runs / identity.node_id / "run1").mkdir(parents=True)
    (places.runs / "a-neighbour-without-a-lock" / "run2").mkdir(parents=True)
    assert check(places, CONTAINERS).ok
    identity.release()
    found = check(places, CONTAINERS)
    assert (found.ok, found.ids, found.repair) == (False, ["run1"], "")
    assert f"label=torkd.node={identity.node_id}" in found.advice
    again = claim_identity(places.data, "worker")
    assert again.node_id == identity.node_id, "looking has not kept the id"
    again.release()
