"""Every row of the API against a real daemon: what is sent, and all of what comes back, as tables in `cases/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.acceptance.rest.cases import conventions, jobs, machines, schedules, submissions
from tests.acceptance.rest.stored import as_json, store
from tests.support.daemon import Daemon
from tests.support.gates import Gate
from tests.support.http_cases import Case, call

pytestmark = pytest.mark.postgres

READ_ONLY = [*conventions.CASES, *jobs.CASES, *machines.CASES]


@pytest.fixture(scope="module")
def ids(daemon: Daemon) -> Iterator[Mapping[str, str]]:
    gate = Gate(daemon.base / "gate-rest")
    yield store(daemon, gate)
    gate.open()


def by_name(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]


@pytest.mark.parametrize("case", READ_ONLY, ids=by_name(READ_ONLY))
def test_it_is_answered_as_the_table_says(daemon: Daemon, ids: Mapping[str, str], case: Case) -> None:
    case.run(daemon.endpoint, ids)


@pytest.mark.parametrize("case", conventions.PRETTY, ids=by_name(conventions.PRETTY))
def test_pretty_indents_whatever_is_answered(daemon: Daemon, ids: Mapping[str, str], case: Case) -> None:
    path = case.path.format_map(ids)
    answer = call(daemon.endpoint, case.method, path, case.body, case.headers)
    assert answer.body.startswith((b'{\n  "', b"[\n  {", b"[]"))
    assert answer.body.endswith(b"\n")


@pytest.mark.parametrize("case", submissions.CASES, ids=by_name(submissions.CASES))
def test_a_submission_is_answered_as_the_table_says(daemon: Daemon, ids: Mapping[str, str], case: Case) -> None:
    case.run(daemon.endpoint, ids)


@pytest.fixture(scope="module")
def scheduled(daemon: Daemon, ids: Mapping[str, str]) -> Mapping[str, str]:
    """With one scheduled job that the cases are about."""
    sent = {"Content-Type": "application/json"}
    created = daemon.call("POST", "/scheduled-jobs", as_json(schedules.SCHEDULED), sent)
    return {**ids, "scheduled": created["id"]}


@pytest.mark.parametrize("case", schedules.CASES, ids=by_name(schedules.CASES))
def test_a_scheduled_job_is_answered_as_the_table_says(
    daemon: Daemon, scheduled: Mapping[str, str], case: Case
) -> None:
    case.run(daemon.endpoint, scheduled)


def test_nothing_was_a_failure_of_the_server(daemon: Daemon, ids: Mapping[str, str]) -> None:
    assert "failed unexpectedly" not in daemon.log.read_text(errors="replace")
