"""Traces of a real daemon, at a real collector: one trace a job, with its request and its tasks, and no secret."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.collector import Collector, Span
from tests.support.daemon import Daemon

SECRET = "hush-hush-9"
CLIENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(collector: Collector) -> Iterator[Daemon]:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with Daemon(settings) as daemon:
        yield daemon


def spans_of(collector: Collector, job_id: str, count: int) -> dict[str, Span]:
    """The spans of the job's trace by name, once there are so many."""
    found = collector.wait_for(lambda span: span.trace_id == job_id, count)
    assert len(found) == count
    return {span.name: span for span in found}


def test_a_request_its_job_and_everything_below_are_one_trace(traced: Daemon, collector: Collector) -> None:
    show = {"name": "show", "run": 'printf "$TRACEPARENT" > $TORK_OUTPUT', "var": "place"}
    inner = {"name": "inner", "tasks": [{"name": "deep", "run": "true"}]}
    several = {"name": "several", "parallel": {"tasks": [{"name": "left", "run": "true"}]}}
    job = traced.submit(
        {"name": "outer", "tasks": [show, several, {"name": "below", "subjob": inner}], "output": "{{ tasks.place }}"}
    )
    result = traced.wait(job)["result"]
    spans = spans_of(collector, job, 8)
    tree = {
        name: next((up.name for up in spans.values() if up.span_id == span.parent_id), "")
        for name, span in spans.items()
    }
    assert tree == {
        "outer": "",
        "POST /jobs": "outer",
        "show": "outer",
        "several": "outer",
        "left": "several",
        "below": "outer",
        "inner": "below",
        "deep": "inner",
    }
    assert spans["outer"].parent_id == ""
    assert result == f"00-{job}-{spans['show'].span_id}-01"
    assert spans["outer"].attributes["tork.job.id"] == spans["POST /jobs"].attributes["tork.job.id"] == job
    assert spans["outer"].attributes["tork.job.state"] == spans["show"].attributes["tork.task.state"] == "COMPLETED"
    assert spans["show"].attributes["tork.task.queue_seconds"] >= 0
    assert spans["POST /jobs"].attributes["http.response.status_code"] == 200
    assert spans["outer"].began_at <= spans["show"].began_at <= spans["show"].ended_at <= spans["outer"].ended_at
    assert spans["outer"].resource["service.name"] == "torkd"
    assert not any(span.is_failed for span in spans.values())


def test_a_failure_is_told_without_its_secrets(traced: Daemon, collector: Collector) -> None:
    failing = {"name": f"uses {SECRET}", "run": f"echo no {SECRET} >&2; exit 3"}
    job = traced.submit({"name": f"job {SECRET}", "secrets": {"key": SECRET}, "tasks": [failing]})
    traced.wait(job)
    spans = spans_of(collector, job, 3)
    for name in ("job [REDACTED]", "uses [REDACTED]"):
        assert spans[name].is_failed
        assert "[REDACTED]" in spans[name].error
    assert not any(SECRET.encode() in received.body for received in collector.receiver.received)


def test_a_client_with_a_trace_keeps_it_and_finds_the_job_by_its_link(traced: Daemon, collector: Collector) -> None:
    header = {"traceparent": f"00-{CLIENT[0]}-{CLIENT[1]}-01"}
    job = traced.submit({"name": "linked", "tasks": [{"name": "one", "run": "true"}]}, header)
    traced.wait(job)
    spans = spans_of(collector, job, 2)
    request = collector.wait_for(lambda span: span.trace_id == CLIENT[0])[0]
    assert request.parent_id == CLIENT[1]
    assert request.links == [(job, spans["linked"].span_id)]


def test_other_requests_are_told_by_their_route(traced: Daemon, collector: Collector) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        traced.call("GET", f"/jobs/{SECRET}")
    refused.value.close()
    found = collector.wait_for(lambda span: span.name == "GET /jobs/{job_id}" and "404" in str(span.attributes))
    assert not found[0].is_failed
    assert not any(span.attributes.get("http.route") == "/health" for span in collector.spans())


def test_without_a_collector_jobs_run_and_the_log_says_it_once() -> None:
    collector = Collector()  # that is never up
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    with Daemon(settings) as daemon:
        job: dict[str, Any] = {"name": "alone", "tasks": [{"name": "one", "run": "true"}]}
        assert [daemon.wait(daemon.submit(job))["state"] for _ in range(5)] == ["COMPLETED"] * 5
        assert daemon.stop() == 0
        told = daemon.log.read_text()
    assert told.count("encountered while exporting") == 1
    assert "Traceback" not in told


HIDDEN = "import runpy, sys; sys.modules['opentelemetry.sdk'] = None; sys.argv[0] = 'torkd'; runpy.run_module('torkd', run_name='__main__')"


def test_where_the_extra_is_missing_one_line_names_it() -> None:
    with Daemon({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, ("-c", HIDDEN)) as daemon:
        assert daemon.told().count("pip install 'torkd[otel]'") == 1


def test_without_an_endpoint_nothing_of_it_is_imported() -> None:
    code = (
        "import sys, torkd.modes.standalone\n"
        "from torkd.tracing.opening import open_tracing\n"
        "assert open_tracing({}) is None\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "[]\n"
