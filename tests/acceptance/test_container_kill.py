"""Containers under kill -9 of the daemon and of Docker, and cancels: every job ends right, and nothing is left on the host."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
import urllib.error
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import docker_engine as docker
from tests.support.daemon import Daemon
from tests.support.engines import ContainerEngine, shared_server
from tests.support.server_process import PID_FILE
from tests.support.waiting import wait_until

JOBS = 100
TASKS = 200
SEED = 20261124
HARM_SECONDS = 45.0
LABEL = "torkd.node"

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]


@pytest.fixture
def engine(docker_engine: ContainerEngine) -> Iterator[ContainerEngine]:
    """A Docker that may be killed; the shared one only shows that there can be one."""
    with shared_server("docker", own=f"kill{os.getpid()}") as base:
        yield ContainerEngine(name="docker", variable="DOCKER_HOST", base=base)


class Killing:
    """Kills that Docker, and starts it again."""

    def __init__(self, engine: ContainerEngine) -> None:
        self._base = engine.base
        self._launched: subprocess.Popen[bytes] | None = None

    def kill(self) -> None:
        """dockerd alone: its containers go on, as after a real crash."""
        process = psutil.Process(int((self._base / PID_FILE).read_text()))
        process.send_signal(signal.SIGKILL)
        if self._launched is not None:
            self._launched.wait(timeout=10)
        wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)

    def start(self) -> None:
        """Back again."""
        self._launched = docker.launch(self._base)


@pytest.fixture
def killing(engine: ContainerEngine) -> Iterator[Killing]:
    """Docker is dead at the end, and removed by its keeper."""
    made = Killing(engine)
    yield made
    made.kill()


def a_job(number: int) -> dict[str, Any]:
    """Two tasks with a volume each; the second needs the result of the first. Docker may go away at any moment: try again."""
    retry = {"limit": 10, "initialDelay": "100ms", "scalingFactor": 1.2}
    volume = {"type": "volume", "target": "/data"}
    return {
        "name": f"job {number}",
        "output": "{{ tasks.second }}",
        "tasks": [
            {
                "name": "first",
                "image": "bb",
                "var": "first",
                "retry": retry,
                "mounts": [volume],
                "run": f"echo printed by {number}; echo {number} > /data/x; sleep 0.4; tr -d '\\n' < /data/x > $TORK_OUTPUT",
            },
            {
                "name": "second",
                "image": "bb",
                "var": "second",
                "retry": retry,
                "mounts": [volume],
                "env": {"FIRST": "{{ tasks.first }}"},
                "run": 'sleep 0.2; printf %s "$FIRST and two" > $TORK_OUTPUT',
            },
        ],
    }


def test_200_container_tasks_survive_kills_of_everything_and_leave_nothing(
    engine: ContainerEngine, killing: Killing
) -> None:
    settings = {
        **engine.settings,
        "TORK_WORKER_QUEUES_DEFAULT": "4",
        "TORK_WORKER_GRACE": "1s",
        "TORK_WORKER_HEARTBEAT": "1s",
        "TORK_WORKER_LEASE": "6s",
    }
    chance = random.Random(SEED)
    with Daemon(settings) as daemon:
        ids = [daemon.submit(a_job(number)) for number in range(JOBS)]
        to_cancel = chance.sample(ids, 12)
        _harm(daemon, killing, chance, list(to_cancel))
        jobs = [daemon.wait(job_id, within=180) for job_id in ids]

        ended = Counter(job["state"] for job in jobs)
        assert set(ended) <= {"COMPLETED", "CANCELLED"}, [job.get("error") for job in jobs if job["state"] == "FAILED"]
        assert {job["id"] for job in jobs if job["state"] == "CANCELLED"} <= set(to_cancel)
        for number, job in enumerate(jobs):
            if job["state"] == "COMPLETED":
                assert job["result"] == f"{number} and two"
                counted = [task["name"] for task in job["execution"] if task["state"] == "COMPLETED"]
                assert sorted(counted) == ["first", "second"]
        wait_until(
            lambda: not _left(daemon, engine), timeout=90, describe=lambda: f"{_left(daemon, engine)}\n{daemon.told()}"
        )


def _harm(daemon: Daemon, killing: Killing, chance: random.Random, to_cancel: list[str]) -> None:
    """Kill and cancel at random moments, and start again what was killed."""
    until = time.monotonic() + HARM_SECONDS
    while time.monotonic() < until or to_cancel:
        time.sleep(chance.uniform(0.5, 3.0))
        match chance.choice(["server", "everything", "docker", "cancel", "cancel", "cancel"]):
            case "server":
                for process in daemon.children("server"):
                    process.kill()
            case "everything":
                daemon.kill()
                daemon.start()
            case "docker":
                killing.kill()
                time.sleep(chance.uniform(0.0, 2.0))
                killing.start()
            case _ if to_cancel:
                _cancel(daemon, to_cancel.pop())
    wait_until(daemon.is_up, timeout=30, describe=daemon.told)


def _cancel(daemon: Daemon, job_id: str) -> None:
    """Whatever becomes of the request: the job may have ended, the daemon may be away."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            daemon.call("PUT", f"/jobs/{job_id}/cancel")
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 503:
                return
        except OSError:
            time.sleep(0.1)
        else:
            return


def _left(daemon: Daemon, engine: ContainerEngine) -> list[str]:
    """What there still is of runs: on the engine, and in directories of the host."""
    try:
        things = engine.api.left_with(LABEL)
    except OSError as error:
        return [str(error)]
    directories = [
        str(path)
        for base in (daemon.base / "tmp", daemon.base / "data" / "runs")
        for path in Path(base).glob("**/*")
        if path.is_dir() and len(path.name) == 32
    ]
    return things + directories
