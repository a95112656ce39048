"""What the daemon does when it is told something by signal: drain, end shortly, end now, read its settings again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.gates import Gate
from tests.support.waiting import wait_until

TWO_SLOTS = {"TORK_WORKER_QUEUES_DEFAULT": "2"}
SHORT_DRAIN = {"TORK_WORKER_DRAIN": "400ms", "TORK_WORKER_GRACE": "200ms"}
NEVER = {**TWO_SLOTS, "TORK_WORKER_DRAIN": "10m", "TORK_WORKER_GRACE": "200ms"}


@pytest.fixture
def daemon_with(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    with Daemon(request.param) as running:
        yield running


def with_settings(settings: dict[str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("daemon_with", [settings], indirect=True, ids=[""])


def running_job(daemon: Daemon, gate: Gate) -> str:
    job_id = daemon.submit(gate.job())
    wait_until(lambda: "started" in daemon.log_text(job_id), describe=daemon.told)
    return job_id


def takes_no_tasks(daemon: Daemon) -> bool:
    """Whether only the slot with the running task is left of the two."""
    return bool(daemon.call("GET", "/queues/default")["subscribers"] == 1)


@with_settings(TWO_SLOTS)
def test_a_running_task_ends_before_a_terminated_daemon_does(daemon_with: Daemon) -> None:
    daemon, gate = daemon_with, Gate(daemon_with.base / "gate")
    job_id = running_job(daemon, gate)
    daemon.process.send_signal(signal.SIGTERM)
    wait_until(lambda: takes_no_tasks(daemon), describe=daemon.told)
    assert daemon.process.poll() is None
    gate.open()
    assert daemon.process.wait(timeout=20) == 0
    wait_until(lambda: not daemon.processes(), describe=lambda: str(daemon.processes()))
    daemon.start()
    job = daemon.job(job_id)
    assert job["state"] == "COMPLETED"
    assert [task["state"] for task in job["execution"]] == ["COMPLETED"]
    assert daemon.log_text(job_id) == "started\nthrough\n"


@with_settings(SHORT_DRAIN)
def test_a_long_task_is_handed_back_and_runs_again_after_the_next_start(daemon_with: Daemon) -> None:
    daemon, gate = daemon_with, Gate(daemon_with.base / "gate")
    job_id = running_job(daemon, gate)
    assert daemon.stop() == 0
    wait_until(lambda: not daemon.processes(), describe=lambda: str(daemon.processes()))
    daemon.start()
    wait_until(lambda: daemon.log_text(job_id).count("started") == 2, describe=daemon.told)
    gate.open()
    [task] = daemon.wait(job_id)["execution"]
    assert task["state"] == "COMPLETED"
    assert "redelivered" not in task, "a task that was handed back counts as lost"


@with_settings(NEVER)
def test_an_interrupted_daemon_gives_running_tasks_no_time(daemon_with: Daemon) -> None:
    daemon = daemon_with
    job_id = running_job(daemon, Gate(daemon.base / "gate"))
    os.killpg(daemon.process.pid, signal.SIGINT)
    assert daemon.process.wait(timeout=30) == 0
    wait_until(lambda: not daemon.processes(), describe=lambda: str(daemon.processes()))
    daemon.start()
    assert daemon.job(job_id)["state"] in {"RUNNING", "SCHEDULED"}


@with_settings(NEVER)
def test_a_second_signal_stops_now(daemon_with: Daemon) -> None:
    daemon = daemon_with
    running_job(daemon, Gate(daemon.base / "gate"))
    daemon.process.send_signal(signal.SIGTERM)
    wait_until(lambda: takes_no_tasks(daemon), describe=daemon.told)
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(timeout=30) == 0
    wait_until(lambda: not daemon.processes(), describe=lambda: str(daemon.processes()))


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[tuple[Daemon, Path]]:
    """A daemon whose level and queues come from a file."""
    config = tmp_path / "config.toml"
    write(config, level="info", slots=1)
    daemon = Daemon({"TORK_CONFIG": str(config)})
    del daemon.environment["TORK_LOGGING_LEVEL"]
    with daemon:
        yield daemon, config


def write(config: Path, *, level: str, slots: int) -> None:
    config.write_text(f'logging.level = "{level}"\nworker.queues.default = {slots}\n')


def states(daemon: Daemon, job_ids: list[str]) -> list[str]:
    return sorted(daemon.job(job_id)["execution"][0]["state"] for job_id in job_ids)


def test_hup_takes_over_queue_sizes_and_the_level_and_disturbs_nothing(configured: tuple[Daemon, Path]) -> None:
    daemon, config = configured
    gate = Gate(daemon.base / "gate")
    job_ids = [running_job(daemon, gate), daemon.submit(gate.job())]
    assert states(daemon, job_ids) == ["RUNNING", "SCHEDULED"]
    assert "[debug" not in daemon.told()
    servers = daemon.children("server")
    write(config, level="debug", slots=2)
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: states(daemon, job_ids) == ["RUNNING", "RUNNING"], describe=daemon.told)
    wait_until(lambda: "[debug" in daemon.told())
    assert daemon.children("server") == servers
    gate.open()
    assert [daemon.wait(job_id)["state"] for job_id in job_ids] == ["COMPLETED", "COMPLETED"]


def test_hup_with_wrong_settings_keeps_those_in_force(configured: tuple[Daemon, Path]) -> None:
    daemon, config = configured
    write(config, level="loud", slots=2)
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "invalid logging level: loud" in daemon.told(), describe=daemon.told)
    assert daemon.wait(daemon.submit({"name": "still", "tasks": [{"name": "works", "run": "true"}]}))["state"] == (
        "COMPLETED"
    )
