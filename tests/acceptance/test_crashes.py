"""A part of the daemon is killed while the rest lives: it comes back, and the jobs go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.support.daemon import KEEPER, Daemon
from tests.support.gates import Gate
from tests.support.waiting import wait_until

QUICK = {"name": "quick", "tasks": [{"name": "one", "run": "true"}]}
PARTS = ["server", "postgres"]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """Standalone, with a lease that tests can wait for."""
    settings = {
        "TORK_WORKER_QUEUES_DEFAULT": "4",
        "TORK_WORKER_HEARTBEAT": "500ms",
        "TORK_WORKER_LEASE": "3s",
        "TORK_WORKER_DRAIN": "1s",
        "TORK_WORKER_GRACE": "200ms",
    }
    with Daemon(settings) as running:
        yield running


def running_jobs(daemon: Daemon, gate: Gate) -> list[str]:
    """Two that run, one whose second task is still to come."""
    job_ids = [daemon.submit(gate.job()) for _ in range(2)]
    job_ids.append(daemon.submit({"name": "two", "tasks": [gate.task("first"), {"name": "second", "run": "echo 2"}]}))
    wait_until(lambda: all(daemon.job(job_id)["state"] == "RUNNING" for job_id in job_ids), describe=daemon.told)
    return job_ids


def replaced(daemon: Daemon, kind: str, before: list[psutil.Process]) -> Callable[[], bool]:
    return lambda: bool(daemon.children(kind)) and not set(daemon.children(kind)) & set(before)


def kill(daemon: Daemon, *kinds: str) -> None:
    killed = {kind: daemon.children(kind) for kind in kinds}
    for processes in killed.values():
        for process in processes:
            process.kill()
    for kind, processes in killed.items():
        wait_until(replaced(daemon, kind, processes), timeout=30, describe=daemon.told)
    wait_until(daemon.is_up, timeout=30, describe=daemon.told)


@pytest.mark.parametrize(
    "kinds", [["server"], ["postgres"], PARTS], ids=["-and-".join(k) for k in (["server"], ["postgres"], PARTS)]
)
def test_jobs_go_on_after_a_part_was_killed(daemon: Daemon, kinds: list[str]) -> None:
    gate = Gate(daemon.base / f"gate-{'-'.join(kinds)}")
    job_ids = running_jobs(daemon, gate)
    arbiter = daemon.process.pid
    kill(daemon, *kinds)
    gate.open()
    jobs = [daemon.wait(job_id, within=40) for job_id in job_ids]
    assert [job["state"] for job in jobs] == ["COMPLETED"] * 3
    assert [[task["state"] for task in job["execution"]] for job in jobs] == [["COMPLETED"]] * 2 + [["COMPLETED"] * 2]
    assert daemon.process.pid == arbiter


def test_the_processes_of_a_killed_server_are_ended_by_its_successor(daemon: Daemon) -> None:
    gate = Gate(daemon.base / "gate-leftovers")
    job_id = daemon.submit(gate.job())
    wait_until(lambda: len(scripts(daemon, gate)) > 0, describe=daemon.told)
    before = scripts(daemon, gate)
    kill(daemon, "server")
    wait_until(lambda: not any(process.is_running() for process in before), describe=daemon.told)
    gate.open()
    assert daemon.wait(job_id, within=40)["state"] == "COMPLETED"


def scripts(daemon: Daemon, gate: Gate) -> list[psutil.Process]:
    """The bash processes of tasks."""
    return [process for process in daemon.processes() if name_of(process) == "bash"]


def name_of(process: psutil.Process) -> str:
    """What it is called; empty when it has ended meanwhile."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def test_a_submission_made_while_the_database_restarts_is_taken_once(daemon: Daemon) -> None:
    for process in daemon.children("postgres"):
        process.kill()
    job = daemon.base / "job.yaml"
    job.write_text("name: sent meanwhile\ntasks: [{name: one, run: echo one}]\n")
    sent = daemon.torkctl("submit", "--wait", "--retry-for", "30s", str(job))
    assert sent.returncode == 0, sent.stderr
    assert daemon.call("GET", "/jobs?q=meanwhile")["totalItems"] == 1


def test_a_killed_keeper_disturbs_nothing_and_the_next_start_takes_the_database_over(daemon: Daemon) -> None:
    for process in keepers(daemon):
        process.kill()
    assert daemon.wait(daemon.submit(QUICK))["state"] == "COMPLETED"
    daemon.stop()
    daemon.start()
    assert daemon.wait(daemon.submit(QUICK))["state"] == "COMPLETED"
    assert len(keepers(daemon)) == 1


def test_a_server_that_starts_while_the_database_hangs_is_tried_again(daemon: Daemon) -> None:
    [postmaster] = daemon.children("postgres")
    hanging = [postmaster, *postmaster.children(recursive=True)]
    [server] = daemon.children("server")
    for process in hanging:
        process.suspend()
    try:
        server.kill()
        wait_until(lambda: "another will try" in daemon.log.read_text(), timeout=60, describe=daemon.told)
    finally:
        for process in hanging:
            process.resume()
    wait_until(daemon.is_up, timeout=60, describe=daemon.told)
    assert daemon.wait(daemon.submit(QUICK), within=40)["state"] == "COMPLETED"


def keepers(daemon: Daemon) -> list[psutil.Process]:
    return [process for process in daemon.processes() if KEEPER in " ".join(process.cmdline())]


def test_nothing_outlives_a_killed_arbiter(daemon: Daemon) -> None:
    gate = Gate(daemon.base / "gate-arbiter")
    job_id = daemon.submit(gate.job())
    wait_until(lambda: "started" in daemon.log_text(job_id), describe=daemon.told)
    daemon.process.kill()
    daemon.process.wait(timeout=10)
    wait_until(lambda: not daemon.processes(), timeout=60, describe=lambda: str(daemon.processes()))
    daemon.start()
    gate.open()
    assert daemon.wait(job_id, within=40)["state"] == "COMPLETED"
