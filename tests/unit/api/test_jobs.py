from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.api_fakes import NOON, a_job, a_task, ended
from tork.definition import read_job
from tork.errors import DatastoreUnavailable, IdempotencyConflict, NotFound, StateConflict
from tork.job import JobContext, JobState
from tork.task import Parallel, Registry, TaskDefinition
from tork.wire import encode
from torkd.api.large_job import MANY_TASKS
from torkd.datastore.protocol import ExecutionPage, IdempotencyKey, JobQuery
from torkd.hooks.redact import Redactor

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

HELLO = "name: hello\ntasks:\n  - name: one\n    run: 'true'\n"


@pytest.mark.parametrize(
    "content_type",
    ["text/yaml", "application/yaml", "application/x-yaml", "Text/YAML; charset=utf-8"],
)
def test_yaml_is_accepted_under_all_its_names(api: Api, content_type: str) -> None:
    answer = api.post(HELLO, content_type)
    assert answer.status_code == 200
    assert api.commands.submitted[0][0].name == "hello"


def test_the_answer_is_the_job_as_it_was_submitted(api: Api) -> None:
    answer = api.post('{"name":"hello","tasks":[{"name":"one","run":"x"}]}', "application/json; charset=utf-8")
    job_id = next(iter(api.reading.jobs))
    assert answer.json == {
        "id": job_id,
        "name": "hello",
        "state": "PENDING",
        "position": 0,
        "createdAt": "2026-01-02T12:00:00.1234Z",
        "createdBy": {"id": "0" * 32, "name": "Guest", "username": "guest", "disabled": True},
        "taskCount": 1,
    }


def test_a_stored_job_is_answered_even_if_it_can_not_be_read_back(api: Api) -> None:
    commands = api.commands
    original = commands.submit

    def submit_then_lose(*args: object, **kwargs: object) -> object:
        accepted = original(*args, **kwargs)  # type: ignore[arg-type] # passed on as it came
        api.reading.failure = DatastoreUnavailable("gone")
        api.reading.secrets_of = lambda job_id: {}  # type: ignore[method-assign] # not asked
        return accepted

    commands.submit = submit_then_lose  # type: ignore[method-assign,assignment] # a failure in between
    answer = api.post(HELLO)
    assert (answer.status_code, answer.json["state"], answer.json["name"]) == (200, "PENDING", "hello")


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        pytest.param(HELLO, None, "missing content type", id="no-type"),
        pytest.param(HELLO, "text/plain", "unknown content type: text/plain", id="other-type"),
        pytest.param("name: [", "text/yaml", "", id="broken-yaml"),
        pytest.param("{", "application/json", "", id="broken-json"),
        pytest.param("", "text/yaml", "", id="empty"),
        pytest.param(b"\xff\xfe\x00", "text/yaml", "", id="binary"),
        pytest.param(HELLO + "schedule:\n  cron: '@daily'\n", "text/yaml", "schedule", id="schedule"),
        pytest.param(HELLO + "permissions:\n  - user: bob\n", "text/yaml", "permissions", id="permissions"),
        pytest.param(
            HELLO + "webhooks:\n  - url: ftp://x\n", "text/yaml", "webhooks[0].url: 'ftp://x' is not an", id="webhooks"
        ),
    ],
)
def test_what_can_not_be_taken_is_refused(api: Api, body: str, content_type: str | None, message: str) -> None:
    answer = api.post(body, content_type)
    assert answer.status_code == 400
    assert list(answer.json) == ["message"]
    assert message in answer.json["message"]
    assert not api.commands.submitted


def test_all_problems_are_told_one_a_line(api: Api) -> None:
    answer = api.post("nam: x\ntasks:\n  - rnu: y\n")
    assert answer.status_code == 400
    assert {"nam", "rnu"} <= {word.strip("'") for word in answer.json["message"].split()}
    assert len(answer.json["message"].splitlines()) > 2


def test_an_idempotency_key_is_passed_on_with_the_body_as_sent(api: Api) -> None:
    first = api.post(HELLO, Idempotency_Key="k1")
    second = api.post(HELLO, Idempotency_Key="k1")
    assert first.json["id"] == second.json["id"]
    assert second.json["state"] == "RUNNING"
    assert api.commands.submitted[0][1] == IdempotencyKey(owner="guest", key="k1", body=HELLO.encode())
    api.commands.failure = IdempotencyConflict("the key was used with another body")
    assert (api.post(HELLO, Idempotency_Key="k1").status_code, api.post(HELLO).status_code) == (422, 422)
    assert api.post(HELLO, Idempotency_Key="k" * 256).status_code == 400


def test_a_key_whose_job_was_removed_is_answered_with_neither_that_job_nor_another(api: Api) -> None:
    first = api.post(HELLO, Idempotency_Key="k1").json["id"]
    api.reading.jobs.clear()
    again = api.post(HELLO, Idempotency_Key="k1")
    assert (again.status_code, first in again.json["message"]) == (410, True)


def test_a_list_passes_on_what_was_asked(api: Api) -> None:
    api.reading.put(a_job(secrets={"key": "hunter2"}, error="no hunter2", inputs={"MY_PASSWORD": "x"}))
    answer = api.get("/jobs?q=tag:x+words&state=failed,RUNNING&state=COMPLETED&tag=a&tag=b,c&idPrefix=ab&page=3&size=7")
    assert api.reading.query == JobQuery(
        text="tag:x words",
        states=(JobState.FAILED, JobState.RUNNING, JobState.COMPLETED),
        tags=("a", "b", "c"),
        id_prefix="ab",
    )
    assert api.reading.asked == (3, 7)
    assert {key: answer.json[key] for key in ("number", "size", "totalPages", "totalItems")} == {
        "number": 3,
        "size": 1,
        "totalPages": 1,
        "totalItems": 1,
    }
    (job,) = answer.json["items"]
    assert (job["error"], job["inputs"]) == ("no [REDACTED]", {"MY_PASSWORD": "[REDACTED]"})


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", (1, 10)),
        ("page=0&size=0", (1, 1)),
        ("page=-3&size=1000", (1, 20)),
        ("page=&size=", (1, 10)),
        ("page=+2", (1, 10)),
    ],
)
def test_page_and_size_are_moved_into_their_bounds(api: Api, query: str, asked: tuple[int, int]) -> None:
    if query == "page=+2":  # a plus sign is a space in a query
        assert api.get("/jobs", query_string=query).status_code == 400
        return
    api.get("/jobs", query_string=query)
    assert api.reading.asked == asked


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("page=x", "invalid page number: x"),
        ("size=1.5", "invalid size: 1.5"),
        ("page=٣", "invalid page number: ٣"),
        ("size=1e3", "invalid size: 1e3"),
        ("page=99999999999999999999", "invalid page number: 99999999999999999999"),
        ("state=asleep", "unknown state: asleep (right would be one of PENDING, SCHEDULED, RUNNING, CANCELLED, "),
    ],
)
def test_what_is_no_number_or_state_is_refused(api: Api, query: str, message: str) -> None:
    answer = api.get("/jobs", query_string=query)
    assert answer.status_code == 400
    assert answer.json["message"].startswith(message)


def test_a_job_shows_no_secret_anywhere(api: Api) -> None:
    token = "s3cr3t-t0ken"
    api.reading.put(
        a_job(
            secrets={"token": token},
            context=JobContext(secrets={"token": token}, tasks={"x": f"got {token}"}),
            tasks=[TaskDefinition(name="one", run=f"curl {token}", registry=Registry(password="pw"))],
            execution=[a_task(cmd=["-H", token], error=f"bad {token}", files={"f": token}, result=token)],
            result=f"<{token}>",
            error=token,
            output=token,
        )
    )
    answer = api.get("/jobs/j1")
    assert token not in answer.text
    assert "pw" not in answer.text
    assert answer.json["secrets"] == {"token": "[REDACTED]"}
    api.serve(redactor=Redactor(enabled=False))
    assert token in api.get("/jobs/j1").text


def test_the_tasks_of_a_job_can_be_submitted_again(api: Api) -> None:
    tasks = [TaskDefinition(name="p", parallel=Parallel(tasks=[TaskDefinition(run="true", env={"A": "b"})]), if_="x")]
    api.reading.put(a_job(tasks=tasks, inputs={"a": "b"}))
    shown = api.get("/jobs/j1").json
    again = {key: shown[key] for key in ("name", "tasks", "inputs")}
    assert read_job(encode(again), format="json").tasks == tasks


def test_empty_fields_are_left_out_but_some_are_always_there(api: Api) -> None:
    api.reading.put(a_job(position=0, task_count=0))
    assert set(api.get("/jobs/j1").json) == {
        *("id", "name", "state", "createdAt", "createdBy", "tasks", "execution", "position", "context")
    }


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("", ExecutionPage(size=MANY_TASKS)),
        ("execution=none", ExecutionPage(size=0)),
        ("executionPage=2", ExecutionPage(number=2, size=100)),
        ("executionSize=5", ExecutionPage(number=1, size=5)),
    ],
)
def test_the_execution_can_be_left_out_or_paged(api: Api, query: str, page: ExecutionPage | None) -> None:
    api.reading.put(a_job())
    api.get("/jobs/j1", query_string=query)
    assert api.reading.asked == ("j1", page)
    assert api.get("/jobs/j1?execution=some").status_code == 400


@pytest.mark.parametrize(
    ("path", "body", "asked"),
    [
        ("/jobs/j1/retry", '{"failed": true}', ("retry", "j1", "")),
        ("/jobs/j1/retry", '{"task": "t1"}', ("retry", "j1", "t1")),
        ("/tasks/t1/skip", '{"reason": " the mirror is\\u0000 gone "}', ("skip", "t1", "the mirror is gone")),
    ],
)
def test_surgery_is_passed_on(api: Api, path: str, body: str, asked: tuple[str, str, str]) -> None:
    answer = api.put(path, body=body)
    assert (answer.status_code, answer.json, api.commands.surgery) == (200, {"status": "OK"}, [asked])
    api.commands.failure = StateConflict("job is COMPLETED and can not be retried")
    assert (api.put(path, body=body).status_code, api.put(path, body=body).json) == (
        400,
        {"message": "job is COMPLETED and can not be retried"},
    )
    api.commands.failure = NotFound("task not found")
    assert api.put(path, body=body).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/jobs/j1/retry", "{}", 'say what is to be run again (right would be {"failed": true} or {"task": "ID"})'),
        ("/jobs/j1/retry", '{"failed": true, "task": "t1"}', "say what is to be run again"),
        ("/jobs/j1/retry", "", "the body can't be read"),
        ("/jobs/j1/retry", '{"failed": 1}', "the body is wrong: Expected `bool`, got `int` - at `$.failed`"),
        ("/tasks/t1/skip", "{}", "a reason is missing"),
        ("/tasks/t1/skip", '{"reason": " \\n"}', "a reason is missing"),
        ("/tasks/t1/skip", '{"reason": "' + "x" * 1001 + '"}', "the body is wrong: Expected `str` of length <= 1000"),
    ],
)
def test_surgery_that_says_too_little_is_refused(api: Api, path: str, body: str, message: str) -> None:
    answer = api.put(path, body=body)
    assert answer.status_code == 400
    assert answer.json["message"].startswith(message)
    assert not api.commands.surgery


@pytest.mark.parametrize("verb", ["cancel", "restart"])
def test_commands_are_passed_on(api: Api, verb: str) -> None:
    answer = api.put(f"/jobs/j1/{verb}")
    assert (answer.status_code, answer.json) == (200, {"status": "OK"})
    assert {"cancel": api.commands.cancelled, "restart": api.commands.restarted}[verb] == ["j1"]
    api.commands.failure = StateConflict("job is not running")
    assert (api.put(f"/jobs/j1/{verb}").status_code, api.put(f"/jobs/j1/{verb}").json) == (
        400,
        {"message": "job is not running"},
    )
    api.commands.failure = NotFound("job not found")
    assert api.put(f"/jobs/j1/{verb}").status_code == 404


@pytest.mark.parametrize(
    "path", ["/jobs/x", "/jobs/x/log", "/jobs/x/events", "/jobs/x/log/stream", "/tasks/x", "/tasks/x/log/stream"]
)
def test_what_is_not_there_is_not_found(api: Api, path: str) -> None:
    answer = api.get(path)
    noun = path.split("/")[1].removesuffix("s")
    assert (answer.status_code, answer.json) == (404, {"message": f"{noun} not found"})


@pytest.mark.parametrize("owner", ["/jobs/j1", "/tasks/t1"])
def test_logs_are_paged_and_masked(api: Api, owner: str) -> None:
    api.reading.put(a_job(secrets={"k": "hunter2"}))
    api.reading.put(a_task())
    api.reading.print("j1", "t1", 1, "it is hunter2")
    answer = api.get(f"{owner}/log?page=2&size=500&q=words")
    assert api.reading.asked == ("words", 2, 100)
    assert answer.json["items"] == [
        {"id": "r1:1", "number": 1, "taskId": "t1", "contents": "it is [REDACTED]", "run": "r1"}
    ]
    api.get(f"{owner}/log")
    assert api.reading.asked == ("", 1, 25)


def test_a_task_shows_no_secret(api: Api) -> None:
    api.reading.put(a_job(secrets={"k": "hunter2"}))
    api.reading.put(a_task(run="echo hunter2", created_at=NOON))
    answer = api.get("/tasks/t1")
    assert answer.json == {
        "id": "t1",
        "jobId": "j1",
        "position": 1,
        "name": "one",
        "state": "RUNNING",
        "run": "echo [REDACTED]",
        "createdAt": "2026-01-02T12:00:00.1234Z",
    }


def test_wait_answers_with_the_whole_job_when_it_has_ended(api: Api) -> None:
    import threading

    def finish() -> None:
        assert api.commands.accepted.wait(10)
        (job,) = api.reading.jobs.values()
        api.reading.put(ended(job, JobState.CANCELLED))

    finisher = threading.Thread(target=finish)
    finisher.start()
    answer = api.post(HELLO + "secrets:\n  k: hunter2\nwait:\n  timeout: 60s\n")
    finisher.join()
    assert (answer.status_code, answer.json["state"], answer.json["secrets"]) == (
        200,
        "CANCELLED",
        {"k": "[REDACTED]"},
    )
    assert "execution" in answer.json


def test_wait_gives_up_when_the_time_is_over(api: Api) -> None:
    answer = api.post(HELLO + "wait:\n  timeout: 1ms\n")
    assert (answer.status_code, answer.json) == (408, {"message": "timeout waiting for job to complete"})
    assert api.post(HELLO + "wait:\n  timeout: soon\n").status_code == 400
