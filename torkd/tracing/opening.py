"""Whether there are traces: the variables of the OpenTelemetry specification say so, and the extra `otel` has to be installed.

Nothing of OpenTelemetry is imported unless both is the case. To be called after any fork, for threads do not survive one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec

from torkd.tracing.protocol import Tracing

log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
OURS = "http/protobuf"
CLOSE_SECONDS = 3.0
"""How long the last spans may take, whatever the collector does."""
_NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def open_tracing(environ: Mapping[str, str] = os.environ) -> Tracing | None:
    """What takes traces, if they are wanted and can be sent. Why they can't is a warning: nothing else depends on them."""
    if not _are_wanted(environ):
        return None
    protocol = _first(environ, PROTOCOLS) or OURS
    if protocol != OURS:
        log.warning("no traces are sent: the protocol %s is not known here (right would be %s)", protocol, OURS)
        return None
    if not _is_installed():
        log.warning(
            "no traces are sent: a collector is named, but the extra is not installed (pip install 'torkd[otel]')"
        )
        return None
    try:
        from torkd.tracing.otlp import otlp_tracing

        return otlp_tracing()
    except Exception as error:  # noqa: BLE001 -- the library's own, for settings of its own
        log.warning("no traces are sent: %s: %s", type(error).__name__, error)
        return None


def closing_of(tracing: Tracing | None) -> tuple[Callable[[], object], ...]:
    """What a process has to call at its end, when there is no more to tell."""
    return () if tracing is None else (lambda: tracing.close(CLOSE_SECONDS),)


def _are_wanted(environ: Mapping[str, str]) -> bool:
    is_off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    is_elsewhere = (_first(environ, ["OTEL_TRACES_EXPORTER"]) or "otlp") != "otlp"
    return bool(_first(environ, ENDPOINTS)) and not is_off and not is_elsewhere


def _first(environ: Mapping[str, str], names: tuple[str, ...] | list[str]) -> str:
    """The first that is set; an empty one counts as not set."""
    return next((value for name in names if (value := environ.get(name, "").strip())), "")


def _is_installed() -> bool:
    try:
        return all(find_spec(name) is not None for name in _NEEDED)
    except ModuleNotFoundError:
        return False
