"""What OpenTelemetry's library is given."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from tests.support.builders import START
from torkd.tracing.otlp import OtlpTracing
from torkd.tracing.span import Place, Span, place_of

JOB = "0af7651916cd43dd8448eb211c80319c"
ROOT, TASK = place_of(JOB, JOB), place_of(JOB, "task")
SPAN = Span(name="one", place=TASK, parent=ROOT, began_at=START, ended_at=START + timedelta(microseconds=1_500_001))


def sent(span: Span) -> ReadableSpan:
    exporter = InMemorySpanExporter()
    OtlpTracing(SimpleSpanProcessor(exporter)).add(span)
    (found,) = exporter.get_finished_spans()
    return found


def id_of(context: SpanContext | None) -> tuple[str, str]:
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def test_a_span_has_the_ids_and_times_it_was_given() -> None:
    found = sent(replace(SPAN, attributes={"tork.job.id": JOB}))
    assert id_of(found.context) == (JOB, TASK.span_id)
    assert id_of(found.parent) == (JOB, ROOT.span_id)
    assert found.start_time == START.timestamp() * 1e9
    assert found.end_time is not None
    assert found.end_time - found.start_time == 1_500_001_000
    assert dict(found.attributes or {}) == {"tork.job.id": JOB}
    assert (found.status.status_code, found.kind) == (StatusCode.UNSET, SpanKind.INTERNAL)


def test_a_root_has_no_parent() -> None:
    found = sent(replace(SPAN, place=ROOT, parent=None))
    assert id_of(found.context) == (JOB, ROOT.span_id)
    assert found.parent is None


def test_an_error_a_link_and_an_answer_are_told_as_such() -> None:
    found = sent(replace(SPAN, error="no", links=(ROOT,), answers_request=True))
    assert (found.status.status_code, found.status.description) == (StatusCode.ERROR, "no")
    assert [id_of(link.context) for link in found.links] == [(JOB, ROOT.span_id)]
    assert found.kind is SpanKind.SERVER


def test_a_clock_that_went_back_makes_no_negative_time() -> None:
    found = sent(replace(SPAN, ended_at=START - timedelta(seconds=1)))
    assert found.end_time == found.start_time


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "torkd"),
        ({"OTEL_SERVICE_NAME": "jobs"}, "jobs"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=others"}, "others"),
    ],
    ids=["default", "name", "resource"],
)
def test_the_service_is_torkd_unless_it_is_named(
    environ: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    assert sent(SPAN).resource.attributes["service.name"] == name


def test_what_is_not_sampled_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    exporter = InMemorySpanExporter()
    tracing = OtlpTracing(SimpleSpanProcessor(exporter))
    roots = [f"{number:032x}" for number in range(2**62, 2**64, 2**60)]
    for root in roots:
        tracing.add(replace(SPAN, place=place_of(root, "task"), parent=place_of(root, root)))
        tracing.add(replace(SPAN, place=place_of(root, root), parent=None))
    wanted = [root for root in roots if tracing.samples(root)]
    assert 0 < len(wanted) < len(roots)
    assert [id_of(span.context)[0] for span in exporter.get_finished_spans()] == [r for r in wanted for _ in range(2)]


@pytest.mark.parametrize("sampled", [True, False])
def test_a_client_decides_for_its_own_trace(sampled: bool) -> None:
    exporter = InMemorySpanExporter()
    parent = Place(JOB, ROOT.span_id, sampled)
    OtlpTracing(SimpleSpanProcessor(exporter)).add(replace(SPAN, parent=parent))
    assert len(exporter.get_finished_spans()) == sampled


def test_what_can_not_be_made_is_logged_and_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    OtlpTracing(SimpleSpanProcessor(InMemorySpanExporter())).add(
        replace(SPAN, place=Place("no", "digits"), parent=None)
    )
    assert caplog.messages == ["a span could not be made"]


class Stuck(SpanExporter):
    """A collector that does not answer until it is given up."""

    def __init__(self) -> None:
        self.given_up = threading.Event()
        self.took: list[str] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.given_up.wait(30)
        self.took += [span.name for span in spans]
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.given_up.set()


def test_closing_sends_what_is_in_hand() -> None:
    exporter = InMemorySpanExporter()
    tracing = OtlpTracing(BatchSpanProcessor(exporter))
    tracing.add(SPAN)
    tracing.close(10.0)
    tracing.close(10.0)
    assert [span.name for span in exporter.get_finished_spans()] == ["one"]


def test_closing_gives_up_a_collector_that_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    exporter = Stuck()
    tracing = OtlpTracing(BatchSpanProcessor(exporter), interrupt=exporter.shutdown)
    tracing.add(SPAN)
    tracing.close(0.05)
    assert exporter.took == ["one"]
    assert caplog.messages == ["the last traces are lost: the collector did not take them within 0.05 s"]
