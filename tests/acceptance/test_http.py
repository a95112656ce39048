"""The API as curl sees it: submissions in both formats, waiting, idempotency, streams that resume."""

from __future__ import annotations

import json
import socket
import urllib.error
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.event_stream import event_stream, events_of
from tests.support.gates import Gate
from tests.support.waiting import wait_until

YAML = b"name: yaml\ntasks: [{name: one, run: 'printf 1 > $TORK_OUTPUT', var: one}]\noutput: '{{ tasks.one }}'\n"
JSON = json.dumps({"name": "json", "tasks": [{"name": "one", "run": "true"}]}).encode()


def post(daemon: Daemon, body: bytes, kind: str | None = "text/yaml", **headers: str) -> tuple[int, Any]:
    """Status and decoded body."""
    sent = {"Content-Type": kind} if kind is not None else {"Content-Type": ""}
    try:
        return 200, daemon.call("POST", "/jobs", body, sent | headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/yaml", YAML),
        ("application/yaml", YAML),
        ("application/x-yaml; charset=utf-8", YAML),
        ("application/json", JSON),
        ("Application/JSON; charset=UTF-8", JSON),
    ],
    ids=["text-yaml", "yaml", "x-yaml-with-charset", "json", "json-in-capitals"],
)
def test_a_job_is_taken_in_yaml_and_json(daemon: Daemon, kind: str, body: bytes) -> None:
    status, summary = post(daemon, body, kind)
    assert (status, summary["state"], summary["position"]) == (200, "PENDING", 0)
    assert daemon.wait(summary["id"])["state"] == "COMPLETED"


def test_every_submission_is_answered_with_what_is_stored(daemon: Daemon) -> None:
    body = b"name: told\ndescription: all of it\ntags: [a, b]\ninputs: {who: me}\ntasks: [{name: one, run: 'true'}]\n"
    for _ in range(2):  # the first one is read again, later ones are known
        _, told = post(daemon, body)
        daemon.wait(told["id"])
        (stored,) = [job for job in daemon.call("GET", "/jobs?q=told")["items"] if job["id"] == told["id"]]
        changing = {"state", "position", "startedAt", "completedAt", "progress"}
        assert {key: value for key, value in told.items() if key not in changing} == {
            key: value for key, value in stored.items() if key not in changing
        }
        assert told["createdBy"]["username"] == "guest"


REFUSED = {
    "unknown-key": (b"name: x\ntaks: []\n", "text/yaml", 400, "did you mean 'tasks'"),
    "not-json": (b"{", "application/json", 400, "1:2: a key is missing here"),
    "no-type": (YAML, None, 400, "content type"),
    "wrong-type": (YAML, "text/plain", 400, "unknown content type: text/plain"),
    "webhooks": (
        b"name: x\nwebhooks: [{url: '://h'}]\ntasks: [{name: a}]\n",
        "text/yaml",
        400,
        "2:18: webhooks[0].url: ",
    ),
    "schedule": (b"name: x\nschedule: {cron: '@daily'}\ntasks: [{name: a}]\n", "text/yaml", 400, "schedule"),
    "too-large": (b"#" * 500_001, "text/yaml", 413, "Request Entity Too Large"),
}


@pytest.mark.parametrize(("body", "kind", "status", "told"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_submission_is_refused_with_its_reason(
    daemon: Daemon, body: bytes, kind: str | None, status: int, told: str
) -> None:
    answered, document = post(daemon, body, kind)
    assert (answered, list(document)) == (status, ["message"])
    assert told in document["message"]


def test_waiting_answers_with_the_ended_job(daemon: Daemon) -> None:
    status, job = post(daemon, YAML + b"wait: {timeout: 30s}\n")
    assert (status, job["state"], job["result"], len(job["execution"])) == (200, "COMPLETED", "1", 1)


def test_waiting_in_vain_leaves_the_job_going(daemon: Daemon) -> None:
    gate = Gate(daemon.base / "gate-wait-408")
    body = json.dumps({**gate.job("slow job"), "wait": {"timeout": "200ms"}}).encode()
    assert post(daemon, body, "application/json") == (408, {"message": "timeout waiting for job to complete"})
    [job] = daemon.call("GET", "/jobs?q=slow")["items"]
    gate.open()
    assert daemon.wait(job["id"])["state"] == "COMPLETED"


def test_a_repeated_submission_is_the_same_job(daemon: Daemon) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    _, first = post(daemon, YAML, **key)
    ended = daemon.wait(first["id"])
    status, again = post(daemon, YAML, **key)
    assert (status, again["id"], again["state"]) == (200, first["id"], ended["state"])
    status, refused = post(daemon, YAML + b"# another\n", **key)
    assert status == 422
    assert first["id"] in refused["message"]


def test_submissions_that_race_are_one_job(daemon: Daemon) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: post(daemon, YAML, **key), range(16)))
    assert {status for status, _ in answers} == {200}
    assert len({document["id"] for _, document in answers}) == 1


def test_a_key_is_remembered_through_a_kill(daemon: Daemon) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    _, first = post(daemon, YAML, **key)
    daemon.kill()
    daemon.start()
    status, again = post(daemon, YAML, **key)
    assert (status, again["id"]) == (200, first["id"])
    assert daemon.wait(first["id"])["state"] == "COMPLETED"


def test_the_events_of_a_job_lead_to_its_end_and_resume(daemon: Daemon) -> None:
    gate = Gate(daemon.base / "gate-events")
    job_id = daemon.submit({"name": "events", "tasks": [{"name": "first", "run": "true"}, gate.task("second")]})
    url = f"{daemon.endpoint}/jobs/{job_id}/events"
    with event_stream(url) as events:
        seen = []
        for event in events:
            seen.append(event)
            if event.kind == "job" and event.data["position"] == 2 and event.data["state"] == "RUNNING":
                break
    gate.open()
    rest = events_of(url, after=[event.id for event in seen if event.id][-1])
    assert rest[-1].kind == "end"
    assert rest[-1].data["state"] == "COMPLETED"
    states = {event.data["name"]: event.data["state"] for event in [*seen, *rest] if event.kind == "task"}
    assert states == {"first": "COMPLETED", "second": "COMPLETED"}
    assert "first" not in {event.data.get("name") for event in rest if event.kind == "task"}, "told again"
    versions = [int(event.id) for event in [*seen, *rest] if event.id]
    assert versions == sorted(versions)


def test_all_jobs_are_followed_in_one_stream(daemon: Daemon) -> None:
    with event_stream(f"{daemon.endpoint}/events") as events:
        job_id = daemon.submit(json.loads(JSON))
        states = []
        for event in events:
            if event.kind == "job" and event.data["id"] == job_id:
                states.append(event.data["state"])
                if states[-1] == "COMPLETED":
                    break
    assert states == sorted(set(states), key=states.index)


@pytest.mark.parametrize("of", ["job", "task"])
def test_a_log_stream_resumes_after_each_of_its_parts(daemon: Daemon, of: str) -> None:
    script = "for n in 1 2 3 4; do echo part $n; sleep 0.3; done"
    job_id = daemon.submit({"name": "parts", "tasks": [{"name": "prints", "run": script}]})
    path = f"jobs/{job_id}" if of == "job" else f"tasks/{daemon.wait(job_id)['execution'][0]['id']}"
    url = f"{daemon.endpoint}/{path}/log/stream"
    whole = events_of(url)
    assert [event.kind for event in whole] == ["log"] * (len(whole) - 1) + ["end"]
    assert text_of(whole) == "part 1\npart 2\npart 3\npart 4\n"
    for number, event in enumerate(whole[:-1], start=1):
        rest = events_of(url, after=event.id)
        assert [part.id for part in rest] == [part.id for part in whole[number:]]
    assert next(iter(events_of(url, after="nonsense"))).kind == "reset"


def text_of(events: list[Any]) -> str:
    return "".join(event.data["contents"] for event in events if event.kind == "log")


def test_a_stream_of_nothing_is_not_found(daemon: Daemon) -> None:
    for path in ("events", "log/stream", "log"):
        with pytest.raises(urllib.error.HTTPError) as refused, event_stream(f"{daemon.endpoint}/jobs/nope/{path}"):
            pass
        assert refused.value.code == 404
        refused.value.close()


def test_cancel_and_restart_answer_and_refuse(daemon: Daemon) -> None:
    gate = Gate(daemon.base / "gate-cancel")
    job_id = daemon.submit(gate.job())
    assert daemon.call("PUT", f"/jobs/{job_id}/cancel") == {"status": "OK"}
    assert daemon.wait(job_id)["state"] == "CANCELLED"
    with pytest.raises(urllib.error.HTTPError) as refused:
        daemon.call("PUT", f"/jobs/{job_id}/cancel")
    assert (refused.value.code, json.loads(refused.value.read())) == (400, {"message": "job is not running"})
    refused.value.close()
    gate.open()
    assert daemon.call("PUT", f"/jobs/{job_id}/restart") == {"status": "OK"}
    assert daemon.wait(job_id)["state"] == "COMPLETED"


def test_a_machine_reads_the_figures_it_expects(daemon: Daemon) -> None:
    health = daemon.call("GET", "/health")
    assert (health["status"], health["version"]) == ("UP", "0.1.0")
    assert set(health["indicators"]) == {"datastore", "broker", "runtime"}
    metrics = daemon.call("GET", "/metrics")
    assert set(metrics) == {"jobs", "tasks", "nodes"}
    # The last task's message is acknowledged a moment after its job has ended.
    idle = {"name": "default", "size": 0, "subscribers": 8, "unacked": 0}
    wait_until(lambda: idle in daemon.call("GET", "/queues"), describe=daemon.told)
    nodes = daemon.call("GET", "/nodes")
    assert {node["name"] for node in nodes} == {"Coordinator", "Worker"}
    assert all({"cpuPercent", "taskCount", "version", "lastHeartbeatAt"} <= set(node) for node in nodes)


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"-1\r\n\r\n", b"5\r\nab"], ids=["no number", "negative", "too short"])
def test_a_broken_chunked_body_is_told_and_never_an_internal_error(daemon: Daemon, chunks: bytes) -> None:
    head = b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=20) as client:
        client.sendall(head + chunks)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1000).startswith(b"HTTP/1.1 400 ")
