"""`--follow` and `--wait` while the daemon is killed and comes back: no line lost or shown twice, no wrong ending."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client_process import ClientProcess
from tests.support.daemon import Daemon
from tests.support.gates import Gate
from tests.support.waiting import wait_until

LINES = 12
TASKS = 4
# Every line is unlike any other, also when a task that was killed runs again.
PRINTING = f"""
for n in $(seq {LINES}); do
  echo "$STEP.$n $(cat /proc/sys/kernel/random/uuid)"
  sleep 0.05
done
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """Standalone, with a lease that tests can wait for."""
    settings = {"TORK_WORKER_QUEUES_DEFAULT": "4", "TORK_WORKER_HEARTBEAT": "500ms", "TORK_WORKER_LEASE": "3s"}
    with Daemon(settings) as running:
        yield running


@pytest.fixture
def printing(tmp_path: Path) -> Path:
    """A job of tasks that print, one after the other."""
    steps = [{"name": f"step {n}", "env": {"STEP": str(n)}, "run": PRINTING} for n in range(1, TASKS + 1)]
    path = tmp_path / "printing.json"
    path.write_text(json.dumps({"name": "printing", "tasks": steps}))
    return path


def client(daemon: Daemon, *arguments: str) -> ClientProcess:
    return ClientProcess(*arguments, environment=daemon.client_environment())


def test_every_line_is_followed_exactly_once_while_the_daemon_is_killed_twice(daemon: Daemon, printing: Path) -> None:
    with client(daemon, "submit", "--follow", str(printing)) as following:
        for step in ("1.6", "3.6"):
            following.saw(f"| {step} ", within=60)
            daemon.kill()
            daemon.start()
        assert following.ended() == 0, following.told()
        job_id = daemon.call("GET", "/jobs?size=1")["items"][0]["id"]
        stored = daemon.log_text(job_id).splitlines()
    shown = [line.partition(" | ")[2] for line in following.out]
    warnings = [line for line in following.err if "did not finish" in line]
    assert len(warnings) <= 2, "at most one for each task that was killed"
    assert Counter(shown) == Counter(stored)
    assert max(Counter(shown).values()) == 1
    last_runs = {line.split()[0] for line in shown}
    assert last_runs == {f"{step}.{n}" for step in range(1, TASKS + 1) for n in range(1, LINES + 1)}
    assert not [line for line in following.err if "FAILED" in line or "error:" in line]


def test_logs_follow_as_json_lines_goes_on_through_a_restart(daemon: Daemon, printing: Path) -> None:
    job_id = daemon.torkctl("submit", "-o", "name", str(printing)).stdout.strip()
    with client(daemon, "logs", "--follow", "-o", "jsonl", job_id) as following:
        following.saw('"contents"')
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.wait(timeout=60)
        daemon.start()
        assert following.ended() == 0, following.told()
    parts = [json.loads(line) for line in following.out]
    places = Counter((part["run"], part["number"]) for part in parts)
    assert max(places.values()) == 1
    shown = "".join(part["contents"] for part in parts).splitlines()
    assert Counter(shown) == Counter(daemon.log_text(job_id).splitlines())


def test_a_wait_outlives_the_daemon(daemon: Daemon, tmp_path: Path) -> None:
    gate = Gate(daemon.base / "gate-wait")
    job_ids = [daemon.submit(gate.job(name)) for name in ("one", "two")]
    with client(daemon, "wait", *job_ids) as waiting:
        wait_until(lambda: all(daemon.job(job_id)["state"] == "RUNNING" for job_id in job_ids), describe=daemon.told)
        daemon.kill()
        daemon.start()
        assert waiting.process.poll() is None, waiting.told()
        gate.open()
        assert waiting.ended() == 0, waiting.told()


def test_a_server_that_stays_away_is_an_unknown_outcome_not_a_failure(daemon: Daemon) -> None:
    gate = Gate(daemon.base / "gate-away")
    job_id = daemon.submit(gate.job())
    with client(daemon, "wait", "--retry-for", "500ms", job_id) as waiting:
        wait_until(lambda: daemon.job(job_id)["state"] == "RUNNING", describe=daemon.told)
        daemon.kill()
        assert waiting.ended() == 5
    assert "unknown" in waiting.told()
    assert "FAILED" not in waiting.told()
    daemon.start()
    gate.open()
    assert daemon.wait(job_id, within=40)["state"] == "COMPLETED"


def test_an_interrupt_leaves_the_job_going(daemon: Daemon, tmp_path: Path) -> None:
    gate = Gate(daemon.base / "gate-interrupt")
    file = tmp_path / "job.json"
    file.write_text(json.dumps(gate.job("goes on")))
    with client(daemon, "submit", "--follow", str(file)) as following:
        following.saw("started")
        following.interrupt()
        assert following.ended() == 130
    assert "goes on" in following.told()
    gate.open()
    assert daemon.wait(newest(daemon))["state"] == "COMPLETED"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["interrupt", "terminate"])
def test_an_interrupt_cancels_the_job_when_asked(daemon: Daemon, tmp_path: Path, number: signal.Signals) -> None:
    gate = Gate(daemon.base / "gate-never")
    file = tmp_path / "job.json"
    file.write_text(json.dumps(gate.job("ends")))
    with client(daemon, "submit", "--follow", "--cancel-on-interrupt", str(file)) as following:
        following.saw("started")
        following.process.send_signal(number)
        assert following.ended() in {130, 143}
    assert daemon.wait(newest(daemon))["state"] == "CANCELLED"


def newest(daemon: Daemon) -> str:
    return str(daemon.call("GET", "/jobs?size=1")["items"][0]["id"])


@pytest.mark.parametrize(
    ("ending", "code"), [("true", 0), ("exit 3", 1)], ids=["a-job-that-completes", "a-job-that-fails"]
)
def test_a_reader_that_leaves_changes_no_exit_code(daemon: Daemon, tmp_path: Path, ending: str, code: int) -> None:
    file = tmp_path / "job.json"
    script = f"for n in $(seq 5000); do echo line $n; done; sleep 0.3; {ending}"
    file.write_text(json.dumps({"name": "long", "tasks": [{"name": "prints", "run": script}]}))
    command = f'{sys.executable} -m torkctl submit --follow {file} | head -n 3; echo "code ${{PIPESTATUS[0]}}"'
    piped = subprocess.run(
        ["bash", "-c", command],
        env=daemon.client_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert piped.stdout.splitlines() == ["line 1", "line 2", "line 3", f"code {code}"], piped.stderr
    assert "Traceback" not in piped.stderr
