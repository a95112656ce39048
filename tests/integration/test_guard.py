"""The guard of a work area, with real processes: what a killed daemon leaves is ended, and nothing else is."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import wait_until
from torkd.runtime.guard import VARIABLE, Guard

DAEMON = """
import subprocess, sys, time
from pathlib import Path
from torkd.runtime.guard import VARIABLE, Guard
area = Path(sys.argv[1])
guard = Guard(area)
script = subprocess.Popen(["bash", "-c", sys.argv[2]], env={VARIABLE: f"{area}/1", "PATH": "/usr/bin:/bin"},
                          start_new_session=True)
print(guard._process.pid, script.pid, flush=True)
time.sleep(600)
"""
SCRIPTS = {
    "plain": "sleep 600",
    "of-several": "sleep 600 & sleep 600 & wait",
    "that-left-its-session": "setsid sleep 600 & sleep 600",
    "deaf-to-term": "trap '' TERM HUP; sleep 600; sleep 600",
    "with-another-environment": "env -i /usr/bin/sleep 600 & sleep 600",
}


@pytest.fixture
def bystander(tmp_path: Path) -> Iterator[psutil.Process]:
    """A script of another daemon."""
    environment = {VARIABLE: f"{tmp_path}/other/1", "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(["sleep", "600"], env=environment, start_new_session=True) as process:
        yield psutil.Process(process.pid)
        process.kill()


def start(area: Path, script: str) -> tuple[subprocess.Popen[str], psutil.Process, list[psutil.Process]]:
    """A daemon, its guard, and the processes of its script."""
    area.mkdir()
    daemon = subprocess.Popen([sys.executable, "-c", DAEMON, str(area), script], stdout=subprocess.PIPE, text=True)
    assert daemon.stdout is not None
    guard, leader = (psutil.Process(int(pid)) for pid in daemon.stdout.readline().split())
    wait_until(lambda: "sleep" in {child.name() for child in leader.children()} or leader.name() == "sleep")
    return daemon, guard, [leader, *leader.children(recursive=True)]


def end(daemon: subprocess.Popen[str]) -> None:
    daemon.kill()
    daemon.wait(timeout=10)
    assert daemon.stdout is not None
    daemon.stdout.close()


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_the_scripts_of_a_killed_daemon_are_ended(tmp_path: Path, bystander: psutil.Process, script: str) -> None:
    daemon, guard, processes = start(tmp_path / "area", script)
    end(daemon)
    wait_until(lambda: not any(map(is_alive, processes)), describe=lambda: str(processes))
    wait_until(lambda: not is_alive(guard))
    assert is_alive(bystander)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_to_everybody_does_not_end_the_guard_before_the_daemon(tmp_path: Path, number: signal.Signals) -> None:
    daemon, guard, processes = start(tmp_path / "area", "sleep 600")
    wait_until(lambda: is_ignoring(guard, number))
    guard.send_signal(number)
    end(daemon)
    wait_until(lambda: not any(map(is_alive, processes)), describe=lambda: str(processes))


def is_ignoring(process: psutil.Process, number: signal.Signals) -> bool:
    """Whether it has come so far as to say that it does not want the signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    return bool(ignored >> (number - 1) & 1)


def test_a_closed_guard_is_gone_and_has_ended_nothing(tmp_path: Path, bystander: psutil.Process) -> None:
    guard = Guard(tmp_path / "other")
    process = psutil.Process(guard._process.pid)
    guard.close()
    assert not is_alive(process)
    assert is_alive(bystander)
