"""One handler for everything that is logged: pretty for people, one JSON object a line for machines."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import gunicorn.config
import gunicorn.glogging
import pytest
import stamina
import structlog

from torkd.logs import adopt_loggers, configure_logging, set_level

LOGGER = logging.getLogger("torkd.worker.running")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    """What a test configures is undone: logging is the whole process's."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    known = [logger for logger in logging.Logger.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    levels = {logger: (logger.level, logger.propagate, list(logger.handlers)) for logger in known}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for logger, (own_level, propagate, own_handlers) in levels.items():
        logger.setLevel(own_level)
        logger.propagate = propagate
        logger.handlers[:] = own_handlers
    logging.captureWarnings(False)
    structlog.reset_defaults()


def _objects(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_has_one_object_a_line_with_the_fields_of_extra() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)

    LOGGER.info("task %s\nended", "t1", extra={"task_id": "t1", "attempt": 2, "node": {"a": [1]}})
    LOGGER.warning("second")

    first, second = _objects(stream)
    assert list(first) == ["time", "level", "logger", "message", "task_id", "attempt", "node"]
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "info",
        "logger": "torkd.worker.running",
        "message": "task t1\nended",
        "task_id": "t1",
        "attempt": 2,
        "node": {"a": [1]},
    }
    assert (second["level"], second["message"]) == ("warning", "second")


def test_json_carries_the_traceback_and_the_stack_on_the_same_line() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)

    try:
        raise ValueError("boom")
    except ValueError:
        LOGGER.exception("failed", stack_info=True)

    (entry,) = _objects(stream)
    assert entry["exception"].endswith("ValueError: boom")
    assert entry["stack"].startswith("Stack (most recent call last)")


@pytest.mark.parametrize(
    "field",
    [object(), {1, 2}, float("nan"), {(1, 2): 3}, "\udce9", 2**80, b"bytes"],
    ids=["object", "set", "nan", "odd key", "surrogate", "huge", "bytes"],
)
def test_json_takes_any_field(field: object) -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    looped: list[object] = [field]
    looped.append(looped)

    LOGGER.info("odd", extra={"field": field})
    LOGGER.info("looped", extra={"field": looped})

    assert [entry["message"] for entry in _objects(stream)] == ["odd", "looped"]


def test_field_named_like_one_of_ours_does_not_replace_it() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)

    LOGGER.info("text", extra={"time": "t", "level": "l", "logger": "g", "timestamp": "s", "exception": "e"})

    (entry,) = _objects(stream)
    assert (entry["level"], entry["logger"], entry["message"]) == ("info", "torkd.worker.running", "text")
    assert entry["field_level"] == "l"
    assert entry["field_exception"] == "e"


def test_pretty_is_one_readable_line_without_colours_in_a_pipe() -> None:
    stream = io.StringIO()
    configure_logging("info", "pretty", stream)

    LOGGER.info("task %s ended", "t1", extra={"task_id": "t1"})

    (line,) = stream.getvalue().splitlines()
    assert "\x1b" not in line
    assert line.endswith("task t1 ended [torkd.worker.running] task_id=t1")
    assert "info" in line


@pytest.mark.parametrize(
    ("stream", "environ", "coloured"),
    [
        (Terminal(), {"TERM": "xterm"}, True),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
    ],
    ids=["terminal", "empty NO_COLOR", "NO_COLOR", "dumb terminal", "pipe"],
)
def test_colours_are_for_terminals_that_want_them(
    stream: io.StringIO, environ: Mapping[str, str], coloured: bool
) -> None:
    configure_logging("info", "pretty", stream, environ=environ)

    LOGGER.info("text")

    assert ("\x1b[" in stream.getvalue()) is coloured


def test_pretty_lets_no_control_character_through() -> None:
    stream = io.StringIO()
    configure_logging("info", "pretty", stream)

    try:
        raise ValueError("\x1b]0;title\x07")
    except ValueError:
        LOGGER.exception("name \x1b[2J\r\nforged line", extra={"name_of_job": "\x9b1m"})

    text = stream.getvalue()
    assert {"\x1b", "\x07", "\r", "\x9b"}.isdisjoint(text)
    assert text.splitlines()[0].endswith(r"name \x1b[2J\r\nforged line [torkd.worker.running] name_of_job=\x9b1m")
    assert text.splitlines()[-1] == r"ValueError: \x1b]0;title\x07"


def test_traceback_shows_no_local_variables() -> None:
    stream = io.StringIO()
    configure_logging("info", "pretty", stream)
    password = "hunter" + "2"

    try:
        raise ValueError(len(password))
    except ValueError:
        LOGGER.exception("failed")

    assert "hunter2" not in stream.getvalue()


@pytest.mark.parametrize(
    ("level", "logged"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warn", ["warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_level_can_be_changed_while_running(level: str, logged: list[str]) -> None:
    stream = io.StringIO()
    configure_logging("error", "json", stream)

    set_level(level)
    for name in ("debug", "info", "warning", "error"):
        getattr(LOGGER, name)("text")

    assert [entry["level"] for entry in _objects(stream)] == logged


def test_unknown_level_or_format_changes_nothing() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)

    with pytest.raises(ValueError, match="invalid logging level: loud"):
        set_level("loud")
    with pytest.raises(ValueError, match="invalid logging format: xml"):
        configure_logging("debug", "xml", stream)
    LOGGER.debug("hidden")
    LOGGER.info("text")

    assert [entry["message"] for entry in _objects(stream)] == ["text"]


def test_configuring_again_replaces_the_handler() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging("info", "json", first)
    configure_logging("info", "json", second)

    LOGGER.info("text")

    assert (first.getvalue(), len(_objects(second))) == ("", 1)


def test_talkative_libraries_do_not_drown_ours() -> None:
    stream = io.StringIO()
    configure_logging("debug", "json", stream)

    logging.getLogger("pika.connection").info("connected")
    logging.getLogger("pika.connection").warning("lost")

    assert [entry["message"] for entry in _objects(stream)] == ["lost"]


def test_lines_of_gunicorn_come_through_our_handler_only(capsys: pytest.CaptureFixture[str]) -> None:
    class ServerLog(gunicorn.glogging.Logger):
        def setup(self, cfg: gunicorn.config.Config) -> None:
            super().setup(cfg)
            adopt_loggers("gunicorn.error", "gunicorn.access")

    stream = io.StringIO()
    configure_logging("debug", "json", stream)
    log = ServerLog(gunicorn.config.Config())

    log.debug("worker %s", "spawned")
    log.error("lost")
    set_level("error")
    log.info("hidden")

    entries = _objects(stream)
    assert [(entry["logger"], entry["level"], entry["message"]) for entry in entries] == [
        ("gunicorn.error", "debug", "worker spawned"),
        ("gunicorn.error", "error", "lost"),
    ]
    assert capsys.readouterr().err == ""


def test_libraries_that_log_through_structlog_come_through_our_handler(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    attempts: list[int] = []

    @stamina.retry(on=ValueError, attempts=2, wait_initial=0, wait_jitter=0)
    def unsteady() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError("not yet")

    unsteady()

    assert "stamina" in _objects(stream)[0]["message"]
    assert capsys.readouterr().out == ""


def test_warnings_of_python_are_logged() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("odd", UserWarning, stacklevel=1)

    assert _objects(stream)[0]["logger"] == "py.warnings"
