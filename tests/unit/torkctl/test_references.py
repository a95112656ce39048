"""What a user may call a job."""

from __future__ import annotations

import json

import pytest

from tests.support.fake_api import CREATED_AT, FakeApi
from tests.support.torkctl_runs import Torkctl

ONE = "abcdef01" + "0" * 24
OTHER = "abcdef02" + "0" * 24


@pytest.fixture(autouse=True)
def two_jobs(fake_api: FakeApi) -> None:
    fake_api.add_job(ONE)
    fake_api.add_job(OTHER)


@pytest.mark.parametrize("reference", [ONE, ONE.upper(), "abcdef01", "abcdef010000"])
def test_an_id_or_a_unique_prefix_is_the_job(torkctl: Torkctl, reference: str) -> None:
    assert json.loads(torkctl("get", reference, "-o", "json").out)["id"] == ONE


def test_a_prefix_of_several_jobs_is_refused_and_nothing_happens(fake_api: FakeApi, torkctl: Torkctl) -> None:
    ran = torkctl("cancel", "abcdef")
    assert ran.code == 2
    assert ONE in ran.err
    assert OTHER in ran.err
    assert not fake_api.requests_to("/cancel", "PUT")


def test_a_server_that_ignores_the_prefix_is_not_believed(fake_api: FakeApi, torkctl: Torkctl) -> None:
    del fake_api.jobs[OTHER]
    page = {"items": [fake_api.summary(ONE)], "number": 1, "size": 1, "totalPages": 1, "totalItems": 1}
    fake_api.fail("/jobs", "status", status=200, body=json.dumps(page).encode())
    assert torkctl("cancel", "fedcba").code == 4


@pytest.mark.parametrize("reference", ["abcde", "", "@first"[:5]])
def test_a_short_prefix_is_refused_without_asking(fake_api: FakeApi, torkctl: Torkctl, reference: str) -> None:
    assert torkctl("cancel", reference).code == 2
    assert not fake_api.requests


def test_last_is_the_job_submitted_last_from_here(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    assert torkctl("get", "@last").code == 4
    for _ in range(2):
        submitted = torkctl("submit", job_file, "-o", "name").out.strip()
    assert torkctl("get", "@last", "-o", "name").out.strip() == submitted


def test_the_same_job_named_twice_is_acted_on_once(fake_api: FakeApi, torkctl: Torkctl) -> None:
    assert torkctl("cancel", ONE, "abcdef01").code == 0
    assert len(fake_api.requests_to("/cancel", "PUT")) == 1


def test_a_reference_can_not_reach_another_part_of_the_api(fake_api: FakeApi, torkctl: Torkctl) -> None:
    assert torkctl("cancel", "../../users/x").code == 4
    assert {request.path for request in fake_api.requests} == {"/jobs"}


def test_a_task_of_the_last_job_is_found_by_the_beginning_of_its_id(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str
) -> None:
    first, second = "f00d01" + "0" * 26, "f00d02" + "0" * 26
    job_id = torkctl("submit", job_file, "-o", "name").out.strip()
    fake_api.add_task(job_id, first, name="build")
    fake_api.add_task(job_id, second, name="test")
    fake_api.log(job_id, "hi\n", task_id=second)
    assert torkctl("get", "f00d01", "-o", "name").out == first + "\n"
    assert torkctl("logs", "f00d02").out == "hi\n"
    assert torkctl("get", "f00d0").code == 2


def test_a_task_is_found_by_the_whole_id_that_a_wide_tree_shows(fake_api: FakeApi, torkctl: Torkctl) -> None:
    task_id = "f00d01" + "0" * 26
    fake_api.add_task(ONE, task_id, name="build")
    ran = torkctl("get", task_id[:8])
    assert ran.code == 4
    assert "torkctl get JOB -o wide" in ran.err
    assert task_id in torkctl("get", ONE, "-o", "wide").out
    assert task_id not in torkctl("get", ONE).out
    assert torkctl("get", task_id).code == 0


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["schedules", "delete", "", "-y"], "there is no schedule"),
        (["queues", "dead", "purge", "", "-y"], "there is no dead letter"),
        (["get", ""], "too short"),
    ],
)
def test_a_variable_that_is_not_set_names_nothing(
    fake_api: FakeApi, torkctl: Torkctl, command: list[str], told: str
) -> None:
    schedule = {"id": ONE, "name": "", "state": "ACTIVE", "cron": "@daily", "createdAt": CREATED_AT}
    letter = {"id": ONE, "queue": "completed", "kind": "x", "buriedAt": CREATED_AT, "reason": "x", "body": "x"}
    for path, item in (("/scheduled-jobs", schedule), ("/dead", letter)):
        page = {"items": [item], "number": 1, "size": 1, "totalPages": 1, "totalItems": 1}
        fake_api.fail(path, "status", status=200, body=json.dumps(page).encode())
    assert told in torkctl(*command).err
    assert not fake_api.requests_to(ONE)


def test_ones_own_password_is_sent_once_as_a_lost_answer_leaves_the_present_one_unknown(
    fake_api: FakeApi, torkctl: Torkctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLD", "old-password")
    monkeypatch.setenv("NEW", "new-password")
    fake_api.fail("/password", "drop", method="PUT", times=9)
    assert torkctl("users", "passwd", "--current", "env:OLD", "--password", "env:NEW").code == 5
    assert len(fake_api.requests_to("/users/me/password", "PUT")) == 1
