"""Secrets that are made to slip through, planted everywhere in jobs: no answer, no search, no log and no command line has one."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.daemon import Daemon
from tests.support.gates import Gate
from tests.support.planted import NESTED, SECRETS, VALUES, a_planted_job, a_telling_job, leaking_texts, leaks
from tests.support.waiting import wait_until

JSON = {"Content-Type": "application/json"}
KEY = {"Idempotency-Key": "k1"}
"""That of one of `job_ids`."""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A talkative one, without a key: redaction must not depend on one."""
    settings = {"TORK_LOGGING_LEVEL": "debug", "TORK_WORKER_QUEUES_DEFAULT": "4", "TORK_RUNTIME_TYPE": "shell"}
    with Daemon(settings) as running:
        yield running


@pytest.fixture(scope="module")
def job_ids(daemon: Daemon) -> list[str]:
    """One that fails, one that completes, and all that came of them."""
    before = newest_jobs(daemon)
    mine = [daemon.submit(a_planted_job()), daemon.submit(a_telling_job(), KEY)]
    for job_id in mine:
        daemon.wait(job_id, within=60)
    every = [job_id for job_id in newest_jobs(daemon) if job_id not in before]
    assert len(every) == 4, "an attached and a detached sub-job besides"
    for job_id in every:
        daemon.wait(job_id)
    return every


def newest_jobs(daemon: Daemon) -> list[str]:
    return [job["id"] for job in daemon.call("GET", "/jobs?size=20")["items"]]


def guess_of(name: str) -> str:
    """The secret as the value of a query."""
    return urllib.parse.quote(VALUES[name][:200], safe="")


def answer_of(daemon: Daemon, path: str) -> str:
    with urllib.request.urlopen(daemon.endpoint + path, timeout=30) as answer:
        return str(answer.read().decode())


def test_the_harness_sees_what_it_looks_for() -> None:
    """Or else the tests below would say nothing."""
    for name, value in VALUES.items():
        for text in (
            value,
            json.dumps({"a": [value]}),
            f"data: {json.dumps(json.dumps(value))}",
            urllib.parse.quote(value),
        ):
            assert name in leaking_texts({"here": text})["here"]


def test_the_tasks_themselves_get_the_secrets(daemon: Daemon, job_ids: list[str]) -> None:
    states = {job_id: daemon.job(job_id)["state"] for job_id in job_ids}
    assert sorted(states.values()) == ["COMPLETED", "COMPLETED", "COMPLETED", "FAILED"]
    (failed,) = (job_id for job_id, state in states.items() if state == "FAILED")
    assert {task["position"] for task in daemon.job(failed)["execution"]} == set(range(1, 12))


def test_no_answer_has_a_secret(daemon: Daemon, job_ids: list[str]) -> None:
    paths = ["/jobs", "/nodes", "/queues", "/queues/dead", "/doctor", "/metrics"]
    for job_id in job_ids:
        paths += [f"/jobs/{job_id}{part}" for part in ("", "/log?size=100", "/events", "/log/stream", "/webhooks")]
        for task in daemon.job(job_id)["execution"]:
            paths += [f"/tasks/{task['id']}{part}" for part in ("", "/log?size=100", "/log/stream")]
    answers = {path: answer_of(daemon, path) for path in paths}
    assert leaking_texts(answers) == {}
    assert "[REDACTED]" in answers["/jobs"]


def test_what_a_submission_answers_has_no_secret(daemon: Daemon, job_ids: list[str]) -> None:
    again = daemon.call("POST", "/jobs", json.dumps(a_telling_job()).encode(), JSON | KEY)
    assert again["id"] in job_ids
    waited = daemon.call("POST", "/jobs", json.dumps({**a_telling_job(), "wait": {"timeout": "30s"}}).encode(), JSON)
    assert waited["state"] == "COMPLETED"
    assert leaking_texts({"again": json.dumps(again), "waited": json.dumps(waited)}) == {}


def test_no_answer_about_a_scheduled_job_has_a_secret(daemon: Daemon) -> None:
    body = json.dumps({**a_planted_job(), "schedule": {"cron": "@every 1000h"}}).encode()
    told = {"added": daemon.call("POST", "/scheduled-jobs", body, JSON)}
    place = f"/scheduled-jobs/{told['added']['id']}"
    told |= {path: daemon.call("GET", path) for path in ("/scheduled-jobs", place, f"{place}/next")}
    told["run"] = daemon.call("PUT", f"{place}/run")
    daemon.wait(told["run"]["id"], within=60)
    assert leaking_texts({what: json.dumps(answer) for what, answer in told.items()}) == {}
    assert "[REDACTED]" in json.dumps(told[place])
    assert daemon.call("DELETE", place) == {"status": "OK"}


@pytest.mark.parametrize("name", [name for name in VALUES if name != NESTED])
def test_a_refusal_does_not_repeat_a_secret(daemon: Daemon, name: str) -> None:
    value = VALUES[name]
    wrong: list[dict[str, Any]] = [
        {"timeout": value}, {"priority": 100, "queue": f"x-{value}"}, {"retry": {"initialDelay": value}}, {value: 1},
        {"if": f"{{{{ {value} }}}}"}, {"var": value}, {"mounts": [{"type": value, "target": "/x"}]},
    ]  # fmt: skip
    refused = {"secrets": {name: value}, "name": value, "tasks": [{"name": "t", "run": "x", **keys} for keys in wrong]}
    assert leaking_texts({"refused": refusal(daemon, refused)}) == {}


def test_the_refusal_of_a_key_of_another_job_does_not_repeat_a_secret(daemon: Daemon, job_ids: list[str]) -> None:
    assert leaking_texts({"conflict": refusal(daemon, a_planted_job(), KEY)}) == {}


def refusal(daemon: Daemon, job: dict[str, Any], headers: dict[str, str] | None = None) -> str:
    with pytest.raises(urllib.error.HTTPError) as caught:
        daemon.call("POST", "/jobs", json.dumps(job).encode(), {**JSON, **(headers or {})})
    assert caught.value.code in {400, 422}
    return str(caught.value.read().decode())


@pytest.mark.parametrize("name", VALUES)
def test_no_search_confirms_a_guess(daemon: Daemon, job_ids: list[str], name: str) -> None:
    guess = guess_of(name)
    for path in (f"/jobs?q={guess}", f"/jobs?tag={guess}", f"/jobs?q=tag:{guess}"):
        assert daemon.call("GET", path)["totalItems"] == 0, path
    for job_id in job_ids:
        assert daemon.call("GET", f"/jobs/{job_id}/log?q={guess}")["totalItems"] == 0
    assert daemon.call("GET", "/jobs?q=planted")["totalItems"] >= 1, "what is no secret is found"


def test_no_process_has_a_secret_on_its_command_line(daemon: Daemon, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    waits = {**gate.task(), "env": {f"V{number}": f"{{{{ secrets.{name} }}}}" for number, name in enumerate(SECRETS)}}
    job_id = daemon.submit({"name": "waits", "secrets": SECRETS, "tasks": [waits]})
    wait_until(lambda: "started" in daemon.log_text(job_id), describe=daemon.told)
    lines = {
        str(process.pid): "\n".join(process.cmdline())
        for process in daemon.processes()
        if psutil.pid_exists(process.pid)
    }
    gate.open()
    assert leaking_texts(lines) == {}
    assert len(lines) > 3
    assert daemon.wait(job_id)["state"] == "COMPLETED"


def test_a_queue_that_is_called_like_a_secret_is_refused(daemon: Daemon) -> None:
    """Names of queues are seen by everybody who may see queues."""
    job = {"name": "q", "secrets": SECRETS, "tasks": [{"name": "t", "queue": "x-{{ secrets.plain }}", "run": "true"}]}
    assert "would show a secret" in refusal(daemon, job)


def test_passwords_and_keys_of_accounts_are_nowhere_even_without_an_encryption_key(daemon: Daemon) -> None:
    password = "planted-password-7f3a"
    made = daemon.call("POST", "/users", json.dumps({"username": "ann", "password": password}).encode(), JSON)
    key = daemon.call("POST", "/keys", json.dumps({"name": "ci", "user": "ann"}).encode(), JSON)
    basic = base64.b64encode(f"ann:{password}".encode()).decode()
    for header in (f"Basic {basic}", f"Bearer {key['key']}"):
        daemon.call("GET", "/jobs", headers={"Authorization": header})
    shown = {path: answer_of(daemon, path) for path in ("/users", "/roles", "/keys", "/audit", f"/users/{made['id']}")}
    places = {str(path): path.read_bytes().decode("latin-1") for path in daemon.base.rglob("*") if path.is_file()}
    for secret in (password, basic, str(key["key"])):
        assert [place for place, text in (shown | places).items() if secret in text] == []
    assert any("ann" in text for text in shown.values())


def test_a_secret_that_is_printed_letter_by_letter_is_never_seen_in_part(daemon: Daemon) -> None:
    secret = "slow-secret-7f3a"
    script = 'printf "Password: "; for i in $(seq 0 $((${#S}-1))); do printf %s "${S:$i:1}"; sleep 0.05; done; printf "%s" ", done"'
    job_id = daemon.submit(
        {
            "name": "slow",
            "secrets": {"s": secret},
            "tasks": [{"name": "t", "env": {"S": "{{ secrets.s }}"}, "run": script}],
        }
    )
    with urllib.request.urlopen(f"{daemon.endpoint}/jobs/{job_id}/log/stream", timeout=30) as stream:
        told = [
            json.loads(line[6:])["contents"] for line in stream if line.startswith(b"data: ") and b"contents" in line
        ]
    assert "".join(told) == "Password: [REDACTED], done"
    assert told[0] == "Password: ", "a prompt does not wait for the end of its line"


def test_the_logs_of_the_daemon_and_its_database_have_no_secret(daemon: Daemon, job_ids: list[str]) -> None:
    for name in VALUES:
        daemon.call("GET", f"/jobs/{job_ids[0]}/log?q={guess_of(name)}")
        refusal(
            daemon, {"secrets": {name: VALUES[name]}, "tasks": [{"name": "t", "run": "x", "timeout": VALUES[name]}]}
        )
    answer_of(daemon, "/jobs?size=7")
    wait_until(lambda: "/jobs?size=7" in daemon.log.read_text())
    logs = [daemon.log, *daemon.base.glob("data/postgres/*.log*")]
    assert leaking_texts({str(log): log.read_text(errors="replace") for log in logs}) == {}


def test_nothing_that_tasks_left_behind_has_a_secret(daemon: Daemon, job_ids: list[str]) -> None:
    """Besides the database itself, which is clear without a key."""
    files = [path for path in daemon.base.rglob("*") if path.is_file() and not path.is_symlink()]
    left = [path for path in files if "postgres" not in path.parts and leaks(path.read_text(errors="replace"))]
    assert left == []
