"""Sends spans with OpenTelemetry's own library, over OTLP/HTTP. All its variables (`OTEL_…`) have the meaning they have elsewhere.

Its processor has a bounded queue and a thread: a collector that is away costs spans, and nobody's time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

import torkd
from torkd.tracing.span import Place, Span

log = logging.getLogger(__name__)

_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_INTERRUPTED_SECONDS = 1.0
"""What an attempt to send may still take once it is told that it was the last."""


def otlp_tracing() -> OtlpTracing:
    """To the collector that the environment names."""
    exporter = OTLPSpanExporter()
    return OtlpTracing(BatchSpanProcessor(exporter), interrupt=exporter.shutdown)


class OtlpTracing:
    """Implements `Tracing`."""

    def __init__(self, processor: SpanProcessor, *, interrupt: Callable[[], object] = lambda: None) -> None:
        """`interrupt` ends an attempt to send that lasts."""
        self._ids = _GivenIds()
        self._provider = TracerProvider(resource=_resource(), id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._interrupt = interrupt
        self._tracer = self._provider.get_tracer("torkd", torkd.__version__)
        self._lock = threading.Lock()
        self._is_closed = False

    def add(self, span: Span) -> None:
        try:
            self._add(span)
        except Exception:  # whatever the library raises, it costs a span and no work
            log.exception("a span could not be made")

    def _add(self, span: Span) -> None:
        context = Context()
        if span.parent is not None:
            context = set_span_in_context(NonRecordingSpan(self._context_of(span.parent)), context)
        with self._lock:
            self._ids.place = span.place
            made = self._tracer.start_span(
                span.name,
                context,
                kind=SpanKind.SERVER if span.answers_request else SpanKind.INTERNAL,
                attributes=span.attributes,
                links=[Link(self._context_of(place)) for place in span.links],
                start_time=_nanoseconds(span.began_at),
            )
        if span.error is not None:
            made.set_status(Status(StatusCode.ERROR, span.error))
        made.end(_nanoseconds(max(span.began_at, span.ended_at)))

    def samples(self, trace_id: str) -> bool:
        decided = self._provider.sampler.should_sample(Context(), int(trace_id, 16), "job")
        return decided.decision is Decision.RECORD_AND_SAMPLE

    def close(self, seconds: float) -> None:
        with self._lock:
            was_closed, self._is_closed = self._is_closed, True
        if was_closed:
            return
        # The library would give it half a minute, whatever it is asked for.
        thread = threading.Thread(target=self._provider.shutdown, name="last-traces", daemon=True)
        thread.start()
        thread.join(timeout=seconds)
        if thread.is_alive():
            log.warning("the last traces are lost: the collector did not take them within %g s", seconds)
            self._interrupt()
            thread.join(timeout=_INTERRUPTED_SECONDS)

    def _context_of(self, place: Place) -> SpanContext:
        sampled = self.samples(place.trace_id) if place.sampled is None else place.sampled
        flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        return SpanContext(int(place.trace_id, 16), int(place.span_id, 16), is_remote=True, trace_flags=flags)


class _GivenIds(IdGenerator):
    """The ids of the span that is being made, instead of new ones."""

    def __init__(self) -> None:
        self.place = Place("", "")

    def generate_trace_id(self) -> int:
        return int(self.place.trace_id, 16)

    def generate_span_id(self) -> int:
        return int(self.place.span_id, 16)


def _resource() -> Resource:
    """As the environment describes it. A service that has no name there is called torkd."""
    found = Resource.create({SERVICE_VERSION: torkd.__version__})
    if str(found.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service"):
        found = found.merge(Resource({SERVICE_NAME: "torkd"}))
    return found


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
