"""`torkctl run`: a job here and now. However it ends, no process and no directory of it stays behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.client_process import ClientProcess
from tests.support.gates import Gate
from tests.support.postgres import room
from tests.support.waiting import wait_until

HELLO = Path(__file__).parents[2] / "examples" / "hello.yaml"


class Place:
    """A home, a data directory and a temporary directory of its own, in which a run leaves its traces."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.work = base / "tmp"
        self.work.mkdir(mode=0o777)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(base),
            "LANG": "C.UTF-8",
            "TORK_DATA_DIR": str(base / "data"),
            "TORK_MOUNTS_TEMP_DIR": str(self.work),
            "TORK_WORKER_GRACE": "500ms",
        }

    def start(self, *arguments: str) -> ClientProcess:
        return ClientProcess("run", *arguments, environment=self.environment)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "torkctl", "run", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def processes(self) -> list[str]:
        """What runs and has to do with this place."""
        found = []
        for process in psutil.process_iter():
            try:
                words = " ".join(process.cmdline())
                is_here = str(self.base) in words or str(self.base) in process.cwd()
                if is_here and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(words or process.name())
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def is_clean(self) -> bool:
        """Whether nothing runs and no work directory is left."""
        return not self.processes() and not list(self.work.iterdir())

    def traces(self) -> str:
        return f"{self.processes()}\n{list(self.work.iterdir())}"


@pytest.fixture
def place() -> Iterator[Place]:
    base = Path(tempfile.mkdtemp(prefix="torkctl-run-", dir=room()))
    base.chmod(0o711)
    yield Place(base)
    shutil.rmtree(base, ignore_errors=True)


def job_file(place: Place, job: object) -> str:
    path = place.base / "job.json"
    path.write_text(json.dumps(job))
    return str(path)


ENDINGS = {
    "completed": ({"run": "echo fine"}, (), 0, "COMPLETED"),
    "failed": ({"run": "echo the reason >&2; exit 9"}, (), 1, "exit code 9: the reason"),
    "task-timeout": ({"run": "sleep 60", "timeout": "300ms"}, (), 1, "timed out after 300ms"),
    "run-timeout": ({"run": "sleep 60"}, ("--timeout", "1s"), 124, "time is up"),
    "stubborn": ({"run": "trap '' TERM; sleep 60 & wait; sleep 60"}, ("--timeout", "1s"), 124, "time is up"),
    "daemonised": ({"run": "setsid sleep 60 & echo fine"}, (), 0, "COMPLETED"),
}


@pytest.mark.parametrize(("task", "arguments", "code", "told"), ENDINGS.values(), ids=ENDINGS)
def test_a_run_ends_with_the_code_of_its_job_and_leaves_nothing(
    place: Place, task: dict[str, str], arguments: tuple[str, ...], code: int, told: str
) -> None:
    done = place.run(*arguments, job_file(place, {"name": "one", "tasks": [{"name": "only", **task}]}))
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    wait_until(place.is_clean, timeout=10, describe=place.traces)


def test_logs_are_on_stdout_alone_and_the_tree_on_stderr(place: Place) -> None:
    done = place.run(str(HELLO), "--input", "who=Ada")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "greet | Hello, Ada!"
    assert done.stdout.splitlines()[-1] == "goodbye | Said hello 3 times. All done, goodbye."
    assert "├── shout ADA  COMPLETED" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_what_the_settings_of_the_machine_say_of_its_daemon_and_cluster_is_left_alone(place: Place) -> None:
    """It would reach nobody there, and its own API would lack what it asks."""
    place.environment |= {
        "TORK_COORDINATOR_API_ENDPOINTS_JOBS": "false",
        "TORK_COORDINATOR_API_ENDPOINTS_TASKS": "false",
    }
    nobody_there = {"TORK_BROKER_TYPE": "rabbitmq", "TORK_BROKER_RABBITMQ_URL": "amqp://127.0.0.1:1"}
    place.environment |= nobody_there | {"TORK_DATASTORE_POSTGRES_DSN": "host=127.0.0.1 port=1"}
    done = place.run(str(HELLO))
    assert (done.returncode, "RabbitMQ" in done.stderr) == (0, False), done.stderr


def test_the_ended_job_is_one_document_when_asked(place: Place) -> None:
    done = place.run(str(HELLO), "-o", "json")
    assert json.loads(done.stdout)["result"] == "said hello 3 times"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["interrupt", "terminate"])
def test_an_interrupted_run_ends_its_job(place: Place, number: signal.Signals) -> None:
    gate = Gate(place.base / "gate")
    with place.start(job_file(place, gate.job())) as running:
        running.saw("started")
        os.killpg(running.process.pid, number)
        assert running.ended() in {130, 143}
    assert "Traceback" not in running.told()
    wait_until(place.is_clean, timeout=10, describe=place.traces)


def test_a_killed_run_leaves_no_process_and_the_next_one_clears_up(place: Place) -> None:
    script = "echo started; setsid sleep 600 & timeout 600 sleep 600 & sleep 600"
    path = job_file(place, {"name": "long", "tasks": [{"name": "waits", "run": script}]})
    with place.start(path) as running:
        running.saw("started")
        running.process.kill()
    wait_until(lambda: not place.processes(), timeout=10, describe=place.traces)
    assert place.run(str(HELLO)).returncode == 0
    wait_until(place.is_clean, timeout=10, describe=place.traces)


def test_two_runs_at_once_do_not_disturb_each_other(place: Place) -> None:
    gate = Gate(place.base / "gate")
    path = job_file(place, gate.job())
    with place.start(path) as first, place.start(path) as second:
        for running in (first, second):
            running.saw("started")
        gate.open()
        assert [first.ended(), second.ended()] == [0, 0]
        assert [first.out, second.out] == [["started", "through"]] * 2
    wait_until(place.is_clean, timeout=10, describe=place.traces)
    assert {path.name for path in (place.base / "data").iterdir()} == {"run-1", "run-2"}


def test_a_wrong_file_starts_nothing(place: Place) -> None:
    done = place.run(job_file(place, {"name": "wrong", "taks": []}))
    assert done.returncode == 2
    assert "did you mean 'tasks'" in done.stderr
    assert not (place.base / "data").exists()


def test_a_task_with_an_image_fails_with_the_reason_where_no_engine_is(place: Place) -> None:
    place.environment["DOCKER_HOST"] = f"unix://{place.base}/nothing.sock"
    done = place.run(job_file(place, {"name": "one", "tasks": [{"name": "only", "image": "alpine", "run": "true"}]}))
    assert done.returncode == 1
    assert f"Docker at unix://{place.base}/nothing.sock does not answer: No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr
