"""Webhooks of a real daemon, to a real receiver: signed as the page says, not lost when everything is killed, no secret told."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.error
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.receiver import Received, Receiver, Reply
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
SIGNING, SECRET = "the secret that signs", "hush-hush-9"
PAGE = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon({"TORK_MIDDLEWARE_WEBHOOK_SECRET": SIGNING}) as daemon:
        yield daemon


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def a_job(url: str, **fields: Any) -> dict[str, Any]:
    hook = {"url": url, **fields.pop("hook", {})}
    return {"name": "told", "tasks": [{"name": "t", "run": "true"}], "webhooks": [hook], **fields}


def test_a_request_verifies_as_the_page_says(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    daemon.wait(daemon.submit(a_job(receiver.url())))
    receiver.wait_for(3)
    assert receiver.states_at("/hook") == ["PENDING", "RUNNING", "COMPLETED"]
    code: dict[str, Any] = {}
    exec(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1], code)  # type: ignore[index]  # it is there
    shell = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1]  # type: ignore[index]  # and this
    for received in receiver.received:
        headers = dict(received.headers)
        assert code["is_ours"](headers, received.body, SIGNING.encode())
        assert not code["is_ours"](headers, received.body + b" ", SIGNING.encode())
        assert not code["is_ours"](headers, received.body, b"another")
        assert not code["is_ours"](
            headers | {"webhook-timestamp": str(int(time.time()) - 3600)}, received.body, SIGNING.encode()
        )
    (tmp_path / "body.json").write_bytes(received.body)
    environment = {
        "WEBHOOK_ID": received.id,
        "WEBHOOK_TIMESTAMP": received.headers["webhook-timestamp"],
        "SECRET": SIGNING,
    }
    signed = subprocess.run(
        ["bash", "-c", shell],
        cwd=tmp_path,
        env={**environment, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"v1,{signed.stdout.strip()}" == received.headers["webhook-signature"]


def test_secrets_go_out_in_headers_and_nowhere_else(daemon: Daemon, receiver: Receiver) -> None:
    job = a_job(
        receiver.url(f"/hook?token={SECRET}"),
        name=f"uses {SECRET}",
        secrets={"key": SECRET},
        inputs={"text": f"<{SECRET}>"},
        output="{{ secrets.key }}",
        hook={"headers": {"Authorization": "Bearer {{ secrets.key }}", "X-Bad": "{{ int(secrets.key) }}"}},
    )
    job["webhooks"].append({"url": receiver.url("/never"), "if": "{{ int(job.name) > 1 }}"})
    job_id = daemon.submit(job)
    daemon.wait(job_id)
    received = receiver.wait_for(3, f"/hook?token={SECRET}")
    assert {one.headers["authorization"] for one in received} == {f"Bearer {SECRET}"}
    assert {one.headers["x-bad"] for one in received} == {""}
    assert [SECRET in one.body.decode() for one in received] == [False] * 3
    assert receiver.at("/never") == []
    log = daemon.log.read_text()
    assert f"job_id={job_id}" in log
    assert "webhooks[0].headers.X-Bad is sent empty with job.StateChange" in log
    assert "webhooks[1].if can't be decided, so it is not told of job.StateChange" in log
    assert SECRET not in log
    assert SECRET not in json.dumps(daemon.call("GET", f"/jobs/{job_id}/webhooks"))


def test_how_webhooks_are_doing_is_told(daemon: Daemon, receiver: Receiver) -> None:
    job_id = daemon.submit(a_job(receiver.url()))
    daemon.wait(job_id)
    receiver.wait_for(3)
    wait_until(lambda: daemon.call("GET", f"/jobs/{job_id}/webhooks")[0]["delivered"] == 3)
    (told,) = daemon.call("GET", f"/jobs/{job_id}/webhooks")
    assert told.keys() == {"url", "events", "delivered", "lastTryAt", "lastStatus"}
    assert (told["url"], told["events"], told["lastStatus"]) == (receiver.url(), ["job.StateChange"], 200)
    with pytest.raises(urllib.error.HTTPError) as refused:
        daemon.call("GET", "/jobs/nope/webhooks")
    assert refused.value.code == 404
    refused.value.close()


def test_an_address_that_is_none_is_refused_and_one_of_a_sub_job_fails_its_task(daemon: Daemon) -> None:
    for url in ("://x", "ftp://h/x", "http://", "http://h:port/", "https://h/a b"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            daemon.submit(a_job(url))
        assert refused.value.code == 400
        assert "webhooks[0].url: " in json.loads(refused.value.read())["message"]
        refused.value.close()
    subjob = {"name": "s", "webhooks": [{"url": "{{ secrets.where }}"}], "tasks": [{"name": "t", "run": "true"}]}
    job = daemon.wait(
        daemon.submit({"name": "j", "secrets": {"where": "no://address"}, "tasks": [{"name": "s", "subjob": subjob}]})
    )
    assert job["state"] == "FAILED"
    assert job["error"] == (
        "subjob.webhooks[0].url is not an http or https address once evaluated (right would be e.g. 'https://example.com/hook')"
    )


def test_the_example_tells_what_it_says(daemon: Daemon, receiver: Receiver) -> None:
    text = (ROOT / "examples" / "webhooks.yaml").read_text().replace("http://localhost:9000", receiver.url(""))
    job_id = daemon.call("POST", "/jobs", text.encode(), {"Content-Type": "text/yaml"})["id"]
    daemon.wait(job_id)
    (ended,) = receiver.wait_for(1, "/ended")
    assert (ended.state, ended.headers["authorization"]) == ("COMPLETED", "Bearer not-a-real-token")
    assert ended.headers["x-report"] == "nightly report: 3 lines"
    (failure,) = receiver.wait_for(1, "/failures")
    assert (failure.state, failure.json["name"], failure.json["jobId"]) == ("FAILED", "fetch", job_id)


def test_killing_everything_loses_nothing_and_repeats_under_the_same_id(receiver: Receiver) -> None:
    arrived: Counter[str] = Counter()

    def slowly(received: Received) -> Reply:
        arrived[received.id] += 1
        time.sleep(0.02)
        return Reply()

    receiver.answer = slowly
    each = {"list": "{{ sequence(0, 40) }}", "task": {"name": "t{{ item.index }}", "run": "true"}}
    job = {
        "name": "killed",
        "tasks": [{"name": "e", "each": each}],
        "webhooks": [{"url": receiver.url(), "event": "task.StateChange"}, {"url": receiver.url("/job")}],
    }
    with Daemon() as daemon:
        job_id = daemon.submit(job)
        for number in (15, 60):
            receiver.wait_for(number)
            daemon.kill()
            daemon.start()
        daemon.wait(job_id)
        receiver.wait_for(1 + 1 + 1 + 40, within=60)
        wait_until(
            lambda: not any(one.get("waiting") for one in daemon.call("GET", f"/jobs/{job_id}/webhooks")), timeout=60
        )
    assert receiver.states_at("/job") == ["PENDING", "RUNNING", "COMPLETED"]
    bodies: dict[str, set[bytes]] = {}
    for received in receiver.received:
        bodies.setdefault(received.id, set()).add(received.body)
    assert {len(found) for found in bodies.values()} == {1}, "a repetition says the same"
    firsts = list({received.id: received for received in reversed(receiver.at("/hook"))}.values())[::-1]
    for number in range(40):
        states = [one.state for one in firsts if one.json["name"] == f"t{number}"]
        assert (states[0], states[-1], states.count("COMPLETED")) == ("SCHEDULED", "COMPLETED", 1)
    assert firsts[-1].json["name"] == "e", "in order"


def test_private_addresses_are_refused_when_they_should_be(receiver: Receiver) -> None:
    with Daemon({"TORK_MIDDLEWARE_WEBHOOK_ALLOW_PRIVATE": "false"}) as daemon:
        job_id = daemon.submit(a_job(receiver.url()))
        assert daemon.wait(job_id)["state"] == "COMPLETED"
        wait_until(lambda: daemon.call("GET", f"/jobs/{job_id}/webhooks")[0].get("givenUp") == 3)
        reason = "its address 127.0.0.1 is private, and middleware.webhook.allow_private is false"
        assert daemon.call("GET", f"/jobs/{job_id}/webhooks")[0]["lastError"] == reason
        assert reason in daemon.log.read_text()
    assert receiver.received == []


def test_a_job_that_is_run_here_and_now_tells_its_end(receiver: Receiver, daemon: Daemon, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(f"name: j\nwebhooks: [{{url: '{receiver.url()}'}}]\ntasks: [{{name: t, run: 'true'}}]\n")
    ran = subprocess.run(
        [sys.executable, "-m", "torkctl", "run", str(job)],
        env={**daemon.client_environment(), "TORK_DATA_DIR": str(daemon.base / "private")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert receiver.states_at("/hook") == ["PENDING", "RUNNING", "COMPLETED"]
