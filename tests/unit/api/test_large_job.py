"""A job with very many tasks is the same JSON as any other, though it is written in parts."""

from __future__ import annotations

import msgspec
import pytest

from tests.support.api_fakes import NOON, a_job, a_task
from tests.unit.api.conftest import Api
from torkd.api.large_job import MANY_TASKS

SECRET = "hunter2secret"


@pytest.mark.parametrize("count", [MANY_TASKS - 1, MANY_TASKS, 2 * MANY_TASKS + 1], ids=["below", "just", "well-above"])
def test_every_task_is_there_in_its_order_with_secrets_hidden(api: Api, count: int) -> None:
    tasks = [a_task(f"t{n}", started_at=NOON, result=f"{n} {SECRET}", env={"A": "b"}) for n in range(count)]
    api.reading.put(a_job(execution=tasks, secrets={"s": SECRET}, result='"execution":[]', inputs={"execution": "[]"}))
    answer = api.get("/jobs/j1")
    job = answer.json
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert [task["id"] for task in job["execution"]] == [f"t{n}" for n in range(count)]
    assert job["execution"][-1]["result"] == f"{count - 1} [REDACTED]"
    assert job["execution"][0]["startedAt"] == "2026-01-02T12:00:00.1234Z"
    assert (job["result"], job["inputs"]) == ('"execution":[]', {"execution": "[]"})
    assert SECRET not in answer.text
    pretty = api.get("/jobs/j1?pretty")
    assert pretty.content == msgspec.json.format(answer.content, indent=2) + b"\n"
    assert api.client.simulate_head("/jobs/j1").status_code == 200


def test_a_job_whose_tasks_are_gone_meanwhile_is_whole_json(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.reading.put(a_job(execution=[a_task(f"t{n}") for n in range(MANY_TASKS)]))
    monkeypatch.setattr(api.reading, "execution_in_parts", lambda job_id, *, size: iter([[]]))
    for query in ("", "?pretty"):
        answer = api.get(f"/jobs/j1{query}")
        assert answer.json["execution"] == []
    assert answer.content == msgspec.json.format(answer.content, indent=2) + b"\n"
