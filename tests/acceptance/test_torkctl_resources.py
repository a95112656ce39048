"""torkctl's commands about queues, dead letters, nodes and schedules against a real daemon, in every format."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

import tests.support.lettered_daemon as lettered
from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

FORMATS = ["table", "wide", "name", "json", "jsonl", "yaml"]
NOBODY = "0" * 32


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon({"TORK_BROKER_TYPE": "lettered"}, (lettered.__file__,)) as running:
        yield running


def scheduled(daemon: Daemon, name: str) -> str:
    job = {"name": name, "schedule": {"cron": "0 3 * * *"}, "tasks": [{"name": "one", "run": "true"}]}
    body = json.dumps(job).encode()
    return str(daemon.call("POST", "/scheduled-jobs", body, {"Content-Type": "application/json"})["id"])


@pytest.fixture(scope="module")
def nightly(daemon: Daemon) -> str:
    return scheduled(daemon, "nightly")


LISTS = {
    "queues": ("default", "/queues"),
    "queues default": ("default", "/queues/default"),
    "queues dead": ("completed", "/queues/dead?size=20"),
    "nodes": ("Worker", "/nodes"),
    "schedules": ("nightly", "/scheduled-jobs"),
    "schedules get nightly": ("nightly", "/scheduled-jobs/{nightly}"),
    "schedules next nightly": ("03:00:00", "/scheduled-jobs/{nightly}/next"),
}
CHANGING = {"lastHeartbeatAt", "cpuPercent", "unacked", "size", "reason"}


def settled(document: Any) -> Any:
    """Without what changes from one moment to the next."""
    if isinstance(document, dict):
        return {key: settled(value) for key, value in document.items() if key not in CHANGING}
    return sorted(map(settled, document), key=str) if isinstance(document, list) else document


@pytest.mark.parametrize("output", FORMATS)
@pytest.mark.parametrize("command", LISTS)
def test_what_is_shown_has_every_format(daemon: Daemon, nightly: str, command: str, output: str) -> None:
    words, path = LISTS[command]
    done = daemon.torkctl(*command.split(), "-o", output)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    if output in {"json", "yaml"}:
        document = json.loads(done.stdout) if output == "json" else yaml.load(done.stdout, yaml.BaseLoader)
        if output == "json":
            assert settled(document) == settled(daemon.call("GET", path.format(nightly=nightly)))
        assert document
    elif output == "jsonl":
        assert [json.loads(line) for line in done.stdout.splitlines()]
    elif output == "name":
        assert all(len(line.split()) == 1 for line in done.stdout.splitlines())
        assert done.stdout
    else:
        assert words in done.stdout


def test_a_dead_letter_is_shown_replayed_and_purged(daemon: Daemon) -> None:
    first, second, third = daemon.torkctl("queues", "dead", "-o", "name").stdout.split()
    shown = daemon.torkctl("queues", "dead", "show", first[:10])
    assert lettered.REASON in shown.stdout
    assert json.loads(daemon.torkctl("queues", "dead", "show", first, "-o", "json").stdout)["id"] == first
    refused = daemon.torkctl("queues", "dead", "purge")
    assert refused.returncode == 2
    assert first in refused.stderr
    assert "--yes" in refused.stderr
    assert daemon.torkctl("queues", "dead", "replay", first[:10]).returncode == 0
    assert first not in daemon.torkctl("queues", "dead", "-o", "name").stdout
    assert daemon.torkctl("queues", "dead", "replay", second, first).returncode == 4
    assert daemon.torkctl("queues", "dead", "purge", second, "-y", "-o", "name").stdout.split() == [second]
    assert third in daemon.torkctl("queues", "dead", "purge", "-y", "-o", "name").stdout
    assert daemon.torkctl("queues", "dead", "replay").returncode == 2


def test_a_schedule_is_run_paused_resumed_and_deleted(daemon: Daemon) -> None:
    schedule_id = scheduled(daemon, "weekly")
    job_id = daemon.torkctl("schedules", "run", "weekly", "-o", "name").stdout.strip()
    assert daemon.torkctl("wait", "@last", "-o", "name").stdout.strip() == job_id
    assert daemon.torkctl("schedules", "pause", schedule_id[:8], "-o", "name").stdout.strip() == schedule_id
    assert daemon.call("GET", f"/scheduled-jobs/{schedule_id}")["state"] == "PAUSED"
    again = daemon.torkctl("schedules", "pause", "weekly")
    assert again.returncode == 1
    assert "not active" in again.stderr
    assert daemon.torkctl("schedules", "resume", "weekly").returncode == 0
    refused = daemon.torkctl("schedules", "delete", "weekly")
    assert refused.returncode == 2
    assert "'weekly'" in refused.stderr
    assert daemon.torkctl("schedules", "delete", "weekly", "--yes").returncode == 0
    assert daemon.torkctl("schedules", "get", "weekly").returncode == 4
    assert daemon.torkctl("schedules", "get", schedule_id).returncode == 4


EXIT_CODES = {
    "no-such-queue": ("queues nope", 4, "nope"),
    "no-such-queue-to-empty": ("queues delete nope -y", 4, "nope"),
    "dead-letters-as-a-queue": ("queues list dead", 0, ""),
    "dead-letters-as-a-queue-of-tasks": ("queues delete dead -y", 2, "queues dead purge"),
    "not-a-queue-of-tasks": ("queues delete started -y", 2, "not a task queue"),
    "nobody-to-ask": ("queues delete default", 2, "--yes"),
    "emptied": ("queues delete default -y", 0, "emptied"),
    "no-such-letter": ("queues dead show abc", 4, "abc"),
    "no-such-schedule": (f"schedules pause {NOBODY}", 4, NOBODY),
    "no-such-name": ("schedules next nope", 4, "nope"),
    "no-such-verb": ("schedules lsit", 2, "Did you mean 'list'"),
    "no-such-noun": ("quues", 2, "Did you mean 'queues'"),
    "no-one-document": ("queues --watch -o json", 2, "jsonl"),
    "count-of-nothing": ("schedules next nightly --count 0", 2, "--count"),
}


@pytest.mark.parametrize(("command", "code", "told"), EXIT_CODES.values(), ids=EXIT_CODES)
def test_an_ending_has_its_exit_code_and_says_why(
    daemon: Daemon, nightly: str, command: str, code: int, told: str
) -> None:
    done = daemon.torkctl(*command.split())
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("", 1), ("y", 0)])
def test_on_a_terminal_it_is_asked_first(daemon: Daemon, answer: str, code: int) -> None:
    scheduled(daemon, f"asked{answer}")
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        done = subprocess.run(
            [sys.executable, "-m", "torkctl", "schedules", "delete", f"asked{answer}"],
            env=daemon.client_environment(), stdin=theirs, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == code
    assert f"Delete schedule 'asked{answer}'" in done.stderr
    assert daemon.torkctl("schedules", "get", f"asked{answer}").returncode == (4 if code == 0 else 0)


def test_a_watch_lives_through_a_restart_of_the_server_and_ends_by_a_signal(daemon: Daemon, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "torkctl", "nodes", "--interval", "100ms", "-o", "jsonl"],
        env=daemon.client_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as watch:  # fmt: skip
        assert watch.stdout
        assert watch.stderr
        assert json.loads(watch.stdout.readline())["data"]
        daemon.kill()
        assert "reconnecting, data as of" in watch.stderr.readline()
        daemon.start()
        assert "answers again" in watch.stderr.readline()
        assert json.loads(watch.stdout.readline())["data"]
        watch.terminate()
        assert watch.wait(timeout=30) == 130


def test_get_takes_a_schedule_and_webhooks_those_of_a_job(daemon: Daemon, nightly: str) -> None:
    assert "0 3 * * *" in daemon.torkctl("get", nightly).stdout
    assert json.loads(daemon.torkctl("get", nightly[:8], "-o", "json").stdout)["id"] == nightly
    assert daemon.torkctl("get", NOBODY).returncode == 4
    short = scheduled(daemon, "etl")
    assert json.loads(daemon.torkctl("get", "etl", "-o", "json").stdout)["id"] == short
    assert "waits for its next time" in daemon.torkctl("why", "etl").stdout
    for command in ("get", "why"):
        refused = daemon.torkctl(command, "lte")
        assert refused.returncode == 2
        assert "'lte' is too short" in refused.stderr
    job_id = daemon.submit({
        "name": "told", "webhooks": [{"url": "http://127.0.0.1:9/hook"}], "tasks": [{"name": "one", "run": "true"}],
    })  # fmt: skip
    for output in FORMATS:
        assert "127.0.0.1:9" in daemon.torkctl("webhooks", job_id, "-o", output).stdout
    assert daemon.torkctl("webhooks", NOBODY).returncode == 4


def test_a_watch_of_the_last_job_stays_with_it_when_another_is_submitted(daemon: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"

    def submit(address: str) -> None:
        task = {"name": "one", "run": "true"}
        file.write_text(json.dumps({"name": "told", "webhooks": [{"url": address}], "tasks": [task]}))
        assert daemon.torkctl("submit", str(file)).returncode == 0

    submit("http://127.0.0.1:9/first")
    with subprocess.Popen(
        [sys.executable, "-m", "torkctl", "webhooks", "@last", "--interval", "100ms", "-o", "jsonl"],
        env=daemon.client_environment(), stdout=subprocess.PIPE, text=True,
    ) as watch:  # fmt: skip
        try:
            assert watch.stdout
            seen = [json.loads(watch.stdout.readline())]
            submit("http://127.0.0.1:9/second")
            submitted_at = datetime.now(UTC)
            while datetime.fromisoformat(seen[-1]["at"]) <= submitted_at:
                seen.append(json.loads(watch.stdout.readline()))
        finally:
            watch.terminate()
    assert {one["url"] for snapshot in seen for one in snapshot["data"]} == {"http://127.0.0.1:9/first"}


def test_what_is_asked_counts_as_people_do(daemon: Daemon) -> None:
    task = {"name": "one", "run": "true", "queue": "nobodys"}

    def waits(count: int) -> bool:
        sizes = {queue["name"]: queue["size"] for queue in daemon.call("GET", "/queues")}
        return bool(sizes.get("nobodys") == count)

    for count, words in ((1, "drop the message that waits in"), (2, "drop the 2 messages that wait in")):
        daemon.submit({"name": "waiting", "tasks": [task]})
        wait_until(partial(waits, count), describe=daemon.told)
        assert words in daemon.torkctl("queues", "delete", "nobodys").stderr
