"""Making spans of what was committed: in a thread of its own, and never in anybody's way."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import pytest
from msgspec.structs import replace

from tests.support.builders import START
from tests.support.fake_tracing import FakeTracing
from tork.errors import DatastoreUnavailable
from tork.job import JobState
from torkd.coordinator.handle import Handled
from torkd.coordinator.traces import Traces
from torkd.datastore.protocol import Beginning, Datastore
from torkd.engine.rows import JobRow
from torkd.engine.view import View
from torkd.hooks.redact import Redactor


class Stored:
    """Knows every job, and no secrets."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.order: list[str] = []

    def secrets_of_each(self, job_ids: Collection[str]) -> dict[str, dict[str, str]]:
        self.order.append("secrets")
        if self.failures:
            raise self.failures.pop()
        return {}

    def beginnings(self, job_ids: Collection[str], task_ids: Collection[str]) -> dict[str, Beginning]:
        self.order.append("beginnings")
        return {one: Beginning(created_at=START) for one in (*job_ids, *task_ids)}


def ended(*job_ids: str) -> Handled:
    view = View()
    for job_id in job_ids:
        row = JobRow(id=job_id, root_id=job_id, name=job_id, task_count=1, created_by="a", state=JobState.RUNNING)
        view.jobs[job_id] = row
        view.job_moves.append((row, replace(row, state=JobState.COMPLETED, completed_at=START)))
    return Handled(view, {})


def names_of(stored: Stored, *batches: Handled, most_waiting: int = 100) -> list[str]:
    tracing = FakeTracing()
    traces = Traces(cast("Datastore", stored), tracing, Redactor(), most_waiting=most_waiting)
    for handled in batches:
        traces.committed(handled)
    traces.start()
    traces.start()  # again, when a coordinator's start is tried again
    traces.close(20)
    return [span.name for span in tracing.spans]


def test_secrets_are_read_before_what_may_hold_them() -> None:
    stored = Stored()
    assert names_of(stored, ended("a", "b")) == ["a", "b"]
    assert stored.order == ["secrets", "beginnings"]


def test_what_is_too_much_is_dropped_and_told(caplog: pytest.LogCaptureFixture) -> None:
    assert names_of(Stored(), ended("a", "b"), ended("c"), most_waiting=1) == ["a"]
    assert caplog.messages == ["more jobs and tasks end than can be traced: 2 have no span"]


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (DatastoreUnavailable("it is away"), "it is away; some jobs and tasks have no span"),
        (RuntimeError("odd"), "traces: 200 changes could not be worked off"),
    ],
    ids=["away", "odd"],
)
def test_a_failure_costs_spans_and_not_the_thread(
    failure: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    many = ended(*(f"j{number}" for number in range(200)))
    assert names_of(Stored(failure), many, ended("next"), most_waiting=1000) == ["next"]
    assert caplog.messages == [told]
