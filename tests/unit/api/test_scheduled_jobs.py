"""`/scheduled-jobs` over fakes: what only they can show."""

from __future__ import annotations

from datetime import UTC, datetime

import falcon.testing
import pytest

from tests.support.api_fakes import a_schedule
from tests.support.builders import a_job, a_subjob, a_task
from tests.unit.api.conftest import Api
from tork.errors import DatastoreUnavailable, StateConflict
from tork.job import Schedule
from tork.task import TaskDefinition
from torkd.api.options import GROUPS, ApiOptions

YAML = "name: again\ntasks: [{name: one, run: 'true'}]\nschedule: {cron: '@daily'}\nsecrets: {key: hush-hush}\ntags: [hush-hush]\n"


def post(api: Api, body: str = YAML, kind: str = "text/yaml", **headers: str) -> falcon.testing.Result:
    return api.client.simulate_post("/scheduled-jobs", body=body, content_type=kind, headers=headers)


def store(api: Api, *tasks: TaskDefinition, cron: str = "@daily", **fields: object) -> None:
    definition = a_job(*tasks, schedule=Schedule(cron=cron), secrets={"key": "hush-hush"})
    api.reading.schedules["s1"] = a_schedule("s1", definition, **fields)


def test_it_is_stored_with_its_key_and_answered_without_secrets(api: Api) -> None:
    answer = post(api, **{"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json["cron"], answer.json["tags"]) == (200, "@daily", ["[REDACTED]"])
    ((definition, key),) = api.commands.submitted
    assert definition.name == "again"
    assert key is not None
    assert (key.key, key.body) == ("k", YAML.encode())


def test_a_schedule_that_is_stored_is_answered_though_it_can_not_be_read_back(api: Api) -> None:
    schedule = api.commands.schedule

    def store_and_fall(*given: object, **more: object) -> object:
        accepted = schedule(*given, **more)  # type: ignore[arg-type] # handed on as they came
        api.reading.failure = DatastoreUnavailable("away")
        return accepted

    api.commands.schedule = store_and_fall  # type: ignore[assignment, method-assign] # commands of this test alone
    answer = post(api)
    assert (answer.status_code, answer.json["state"], answer.json["tags"]) == (200, "ACTIVE", ["[REDACTED]"])


def test_a_job_that_was_started_is_answered_though_it_can_not_be_read_back(api: Api) -> None:
    store(api)
    run = api.commands.run_schedule

    def run_and_fall(schedule_id: str) -> object:
        accepted = run(schedule_id)
        api.reading.failure = DatastoreUnavailable("away")
        return accepted

    api.commands.run_schedule = run_and_fall  # type: ignore[assignment, method-assign] # commands of this test alone
    answer = api.put("/scheduled-jobs/s1/run")
    assert (answer.status_code, answer.json["state"]) == (200, "PENDING")
    assert answer.json["schedule"] == {"id": "s1", "cron": "@daily"}


def test_secrets_of_sub_jobs_are_hidden_too(api: Api) -> None:
    below = a_subjob(a_task("inner", run="echo deep-secret"), subjob={"secrets": {"deep": "deep-secret"}})
    store(api, below, description="hush-hush and deep-secret")
    for path in ("/scheduled-jobs/s1", "/scheduled-jobs"):
        text = api.get(path).text
        assert "hush-hush" not in text
        assert "deep-secret" not in text


@pytest.mark.parametrize(("count", "times"), [("", 5), ("2", 2), ("0", 1), ("-3", 1), ("1000", 100)])
def test_fire_times_are_counted_within_bounds(api: Api, count: str, times: int) -> None:
    store(api, cron="0 9 * * *", zone="Europe/Berlin")
    answer = api.get("/scheduled-jobs/s1/next", query_string=f"count={count}" if count else "")
    assert (len(answer.json["times"]), answer.json["zone"]) == (times, "Europe/Berlin")
    assert {datetime.fromisoformat(time).hour for time in answer.json["times"]} <= {7, 8}


def test_a_count_that_is_no_number_is_refused(api: Api) -> None:
    store(api)
    answer = api.get("/scheduled-jobs/s1/next", query_string="count=x")
    assert (answer.status_code, answer.json) == (
        400,
        {"message": "invalid count: x (right would be a number from 1 to 100)"},
    )


def test_a_zone_that_is_gone_is_told(api: Api) -> None:
    store(api, zone="Mars/Base", error="the time zone 'Mars/Base' is not known on this machine")
    assert "Mars/Base" in api.get("/scheduled-jobs/s1").json["error"]
    answer = api.get("/scheduled-jobs/s1/next")
    assert (answer.status_code, "Mars/Base" in answer.json["message"]) == (400, True)


@pytest.mark.parametrize(
    ("method", "path", "told"),
    [
        ("PUT", "/scheduled-jobs/s1/pause", "pause"),
        ("PUT", "/scheduled-jobs/s1/resume", "resume"),
        ("PUT", "/scheduled-jobs/s1/run", "run"),
        ("DELETE", "/scheduled-jobs/s1", "delete"),
    ],
)
def test_what_is_asked_is_done(api: Api, method: str, path: str, told: str) -> None:
    store(api)
    assert api.client.simulate_request(method, path).status_code == 200
    assert api.commands.of_schedules == [(told, "s1")]
    api.commands.failure = StateConflict("no")
    answer = api.client.simulate_request(method, path)
    assert (answer.status_code, answer.json) == (400, {"message": "no"})


def test_times_of_a_schedule_are_told_as_others_are(api: Api) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC)
    store(api, next_at=moment, last_at=moment)
    told = api.get("/scheduled-jobs/s1").json
    assert (told["nextAt"], told["lastAt"]) == ("2026-01-02T03:04:05.6Z", "2026-01-02T03:04:05.6Z")


def test_they_are_switched_off_with_jobs(api: Api) -> None:
    api.serve(options=ApiOptions(groups=frozenset(GROUPS) - {"jobs"}))
    assert api.get("/scheduled-jobs").status_code == 404


def test_jobs_are_filtered_by_schedule(api: Api) -> None:
    api.get("/jobs", query_string="schedule=s1")
    assert api.reading.query is not None
    assert api.reading.query.schedule_id == "s1"
