"""When there are traces."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib import util

import pytest

from torkd.tracing import opening
from torkd.tracing.opening import closing_of, open_tracing

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_SERVICE_NAME": "jobs"},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
    ],
    ids=["nothing", "empty", "no endpoint", "disabled", "no exporter"],
)
def test_they_are_off_without_a_word(environ: Mapping[str, str], caplog: pytest.LogCaptureFixture) -> None:
    assert open_tracing(environ) is None
    assert caplog.records == []


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_an_endpoint_turns_them_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    tracing = open_tracing()
    assert tracing is not None
    for close in closing_of(tracing):
        close()
    assert closing_of(None) == ()


def test_a_missing_extra_is_one_warning_that_names_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda name: None if "exporter" in name else util.find_spec(name))
    assert open_tracing(ENDPOINT) is None
    assert [(line.levelno, line.getMessage()) for line in caplog.records] == [
        (
            logging.WARNING,
            "no traces are sent: a collector is named, but the extra is not installed (pip install 'torkd[otel]')",
        )
    ]


def test_a_protocol_we_do_not_speak_is_named(caplog: pytest.LogCaptureFixture) -> None:
    assert open_tracing({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}) is None
    assert caplog.messages == ["no traces are sent: the protocol grpc is not known here (right would be http/protobuf)"]


def test_what_the_library_refuses_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    assert open_tracing() is None
    assert caplog.messages[-1].startswith("no traces are sent: ValueError: ")
