"""A secret of a job is seen by its tasks and by nobody else: not in answers, logs, streams, nor in the daemon's own log."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest

from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

SECRET = "s3cr3t-value-of-acceptance"
PLACES = {"secrets": {"token": SECRET}, "inputs": {"also": f"in {SECRET} here", "API_PASSWORD": "short"}}
SCRIPT = (
    'echo "before $TOKEN after"; printf "%s" "$TOKEN" | head -c 9; sleep 0.2; printf "%s\\n" "${TOKEN#?????????}"; '
    'printf "%s" "${#TOKEN} $TOKEN" > "$TORK_OUTPUT"'
)
TASK = {"name": "tell {{ secrets.token }}", "env": {"TOKEN": "{{ secrets.token }}"}, "var": "told", "run": SCRIPT}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A talkative one."""
    with Daemon({"TORK_LOGGING_LEVEL": "debug", "TORK_WORKER_QUEUES_DEFAULT": "4"}) as running:
        yield running


@pytest.fixture(scope="module")
def jobs(daemon: Daemon) -> dict[str, str]:
    """One that completes, one that fails with the secret in its error, one with the secret in a sub-job."""
    failing = {**TASK, "run": 'echo "$TOKEN is wrong" >&2; exit 3'}
    nested = {"name": "inner", "secrets": {"mine": "{{ secrets.token }}"}, "tasks": [
        {"name": "deep", "env": {"TOKEN": "{{ secrets.mine }}"}, "run": SCRIPT}
    ]}  # fmt: skip
    documents = {
        "completes": {"name": "c", **PLACES, "tasks": [TASK], "output": "out {{ tasks.told }}"},
        "fails": {"name": "f", **PLACES, "tasks": [failing]},
        "nested": {"name": "n", **PLACES, "tasks": [{"name": "sub", "subjob": nested}]},
        "each": {
            "name": "e", **PLACES,
            "tasks": [{"name": "all", "each": {"list": "{{ [secrets.token] }}", "task": {**TASK, "name": "{{ item.value }}"}}}],
        },
    }  # fmt: skip
    ids = {name: daemon.submit(document) for name, document in documents.items()}
    for job_id in ids.values():
        daemon.wait(job_id)
    ids["subjob"] = daemon.job(ids["nested"])["execution"][0]["subjob"]["id"]
    return ids


def test_the_task_itself_gets_the_secret(daemon: Daemon, jobs: dict[str, str]) -> None:
    result = daemon.job(jobs["completes"])["result"]
    assert result == f"out {len(SECRET)} [REDACTED]"


def texts(daemon: Daemon, job_id: str) -> Iterator[tuple[str, str]]:
    paths = [f"/jobs/{job_id}", f"/jobs/{job_id}/log", f"/jobs/{job_id}/events", f"/jobs/{job_id}/log/stream"]
    paths += ["/jobs", "/nodes", "/queues"]
    for task in daemon.job(job_id)["execution"]:
        paths += [f"/tasks/{task['id']}", f"/tasks/{task['id']}/log", f"/tasks/{task['id']}/log/stream"]
    for path in paths:
        with urllib.request.urlopen(daemon.endpoint + path, timeout=30) as answer:
            yield path, answer.read().decode()


@pytest.mark.parametrize("name", ["completes", "fails", "nested", "each", "subjob"])
def test_no_answer_and_no_stream_has_the_secret(daemon: Daemon, jobs: dict[str, str], name: str) -> None:
    leaks = [path for path, text in texts(daemon, jobs[name]) if SECRET in text or "short" in text]
    assert leaks == []


@pytest.mark.parametrize("name", ["completes", "subjob"])
def test_a_secret_printed_in_two_halves_is_hidden(daemon: Daemon, jobs: dict[str, str], name: str) -> None:
    assert daemon.log_text(jobs[name]) == "before [REDACTED] after\n[REDACTED]\n"


def test_the_wait_answer_hides_the_secret(daemon: Daemon) -> None:
    body = json.dumps({"name": "w", **PLACES, "tasks": [TASK], "wait": {"timeout": "30s"}}).encode()
    job = daemon.call("POST", "/jobs", body, {"Content-Type": "application/json"})
    assert job["state"] == "COMPLETED"
    assert SECRET not in json.dumps(job)


@pytest.mark.parametrize(
    "command", [("get", "-o", "yaml"), ("logs",), ("logs", "-o", "json"), ("get",), ("logs", "-f")]
)
def test_torkctl_shows_no_secret(daemon: Daemon, jobs: dict[str, str], command: tuple[str, ...]) -> None:
    for name in ("completes", "fails"):
        shown = daemon.torkctl(*command, jobs[name])
        assert SECRET not in shown.stdout + shown.stderr
        assert "[REDACTED]" in shown.stdout


def test_a_refused_job_with_a_secret_does_not_repeat_it(daemon: Daemon) -> None:
    path = daemon.base / "wrong.yaml"
    path.write_text(f"name: x\nsecrets: {{token: {SECRET}}}\ntaks: []\n")
    refused = daemon.torkctl("submit", str(path))
    assert refused.returncode == 2
    assert SECRET not in refused.stderr


def test_the_daemon_and_its_database_log_no_secret(daemon: Daemon, jobs: dict[str, str]) -> None:
    wait_until(lambda: "POST /jobs" in daemon.log.read_text())
    assert SECRET not in daemon.log.read_text()
    for log in daemon.base.glob("data/postgres/*.log*"):
        assert SECRET not in log.read_text(errors="replace")
