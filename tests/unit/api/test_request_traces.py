"""A span for every request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.fake_tracing import FakeTracing
from tork.errors import DatastoreUnavailable
from torkd.tracing.span import place_of, read_traceparent

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
JOB = "name: j\ntasks:\n  - name: t\n    run: 'true'\n"


def traced(api: Api) -> FakeTracing:
    tracing = FakeTracing()
    api.serve(tracing=tracing)
    return tracing


def test_it_is_named_for_its_route(api: Api) -> None:
    tracing = traced(api)
    api.get("/jobs/hush?password=hush")
    api.get("/hush")
    api.client.simulate_patch("/jobs")
    assert [span.name for span in tracing.spans] == ["GET /jobs/{job_id}", "GET unmatched", "PATCH /jobs"]
    assert [span.attributes["http.response.status_code"] for span in tracing.spans] == [404, 404, 405]
    assert all(span.answers_request and span.error is None and span.parent is None for span in tracing.spans)
    assert len({span.place.trace_id for span in tracing.spans}) == 3
    assert "hush" not in str(tracing.spans).lower()


def test_what_machines_ask_for_all_the_time_is_left_out(api: Api) -> None:
    tracing = traced(api)
    api.get("/health")
    api.get("/metrics")
    assert tracing.spans == []


def test_a_submission_belongs_to_its_job(api: Api) -> None:
    tracing = traced(api)
    job_id = api.post(JOB).json["id"]
    (span,) = tracing.spans
    assert span.parent == place_of(job_id, job_id)
    assert span.place.trace_id == span.parent.trace_id
    assert span.place.span_id != span.parent.span_id
    assert span.attributes["tork.job.id"] == job_id
    assert span.links == ()


def test_a_submission_of_a_client_with_a_trace_is_linked_to_its_job(api: Api) -> None:
    tracing = traced(api)
    job_id = api.post(JOB, traceparent=PARENT).json["id"]
    (span,) = tracing.spans
    assert span.parent == read_traceparent(PARENT)
    assert span.links == (place_of(job_id, job_id),)


def test_a_job_that_is_refused_has_none(api: Api) -> None:
    tracing = traced(api)
    assert api.post("tasks: []").status_code == 400
    (span,) = tracing.spans
    assert span.parent is None
    assert "tork.job.id" not in span.attributes


def test_a_failure_of_ours_is_an_error(api: Api) -> None:
    tracing = traced(api)
    api.reading.failure = DatastoreUnavailable("it is away")
    assert api.get("/jobs").status_code == 503
    assert tracing.spans[0].error == ""
