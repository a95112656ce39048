"""A collector of traces: a real HTTP server that writes down the spans it is sent."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from types import TracebackType
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.receiver import Received, Receiver
from tests.support.waiting import wait_until

PATH = "/v1/traces"


class Span:
    """One as it was sent; ids in hexadecimal digits."""

    def __init__(self, sent: Any, resource: Any) -> None:
        self.name: str = sent.name
        self.trace_id: str = sent.trace_id.hex()
        self.span_id: str = sent.span_id.hex()
        self.parent_id: str = sent.parent_span_id.hex()
        self.links: list[tuple[str, str]] = [(link.trace_id.hex(), link.span_id.hex()) for link in sent.links]
        self.began_at: int = sent.start_time_unix_nano
        self.ended_at: int = sent.end_time_unix_nano
        self.is_failed: bool = sent.status.code == sent.status.STATUS_CODE_ERROR
        self.error: str = sent.status.message
        self.attributes = _values(sent.attributes)
        self.resource = _values(resource.attributes)


class Collector:
    """Takes traces while it is up."""

    def __init__(self) -> None:
        self.receiver = Receiver()
        self.endpoint = self.receiver.url("")

    def __enter__(self) -> Collector:
        self.receiver.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.receiver.stop()

    def spans(self) -> list[Span]:
        """All that came."""
        return [
            Span(span, batch.resource)
            for received in self.receiver.at(PATH)
            for batch in ExportTraceServiceRequest.FromString(_body(received)).resource_spans
            for scope in batch.scope_spans
            for span in scope.spans
        ]

    def wait_for(self, wanted: Callable[[Span], bool], count: int = 1) -> list[Span]:
        """Those wanted, once so many came."""
        wait_until(
            lambda: len([span for span in self.spans() if wanted(span)]) >= count,
            timeout=20,
            describe=lambda: str([(span.name, span.attributes) for span in self.spans()]),
        )
        return [span for span in self.spans() if wanted(span)]


def _body(received: Received) -> bytes:
    return gzip.decompress(received.body) if received.headers.get("content-encoding") == "gzip" else received.body


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
