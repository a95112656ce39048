"""Logging of the daemon: every record, ours or a library's, leaves through one handler on stderr.

Code logs with `logging.getLogger(__name__)`, arguments and `extra=`; here structlog renders it, for people or as one
JSON object a line. A record never spans lines in JSON, and control characters of its text never reach a terminal.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

from torkd.log_repeats import Repeats

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_TALKATIVE = (
    "asyncio",
    "docker",
    "httpcore2",
    "httpx2",
    "opentelemetry",
    "pika",
    "psycopg",
    "psycopg.pool",
    "stamina",
    "urllib3",
)
# libraries whose debug and info lines would bury ours
_CORE_FIELDS = ("time", "level", "logger", "message")
_RESERVED = frozenset({*_CORE_FIELDS, "timestamp", "exception", "stack"})
# a field of this name that came through `extra` is shown as `field_…`
_SPANNING_LINES = frozenset({"exception", "stack"})
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {10: "\\n", 13: "\\r", 9: "\t"}
_LINE_CONTROL = _CONTROL | {10: "\n"}


class _EngineHandler(logging.StreamHandler[TextIO]):
    """The handler of this module, told apart from others' so that configuring again replaces just it."""


def configure_logging(
    level: str,
    format: str,  # noqa: A002 -- named as the setting, logging.format
    stream: TextIO | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Sends all logging to `stream` (stderr), in the format `pretty` or `json`. May be repeated.

    Colours only on a terminal, and not where `NO_COLOR` is set. Raises `ValueError` for a level or format that
    `logging.level` and `logging.format` do not know.
    """
    target = stream or sys.stderr
    renderers: list[Processor]
    if format == "json":
        renderers = [_order_fields, structlog.processors.JSONRenderer(serializer=_to_json)]
    elif format == "pretty":
        renderers = [_escape_control_characters, _console(colors=_may_colour(target, environ))]
    else:
        raise ValueError(f"invalid logging format: {format} (right would be pretty or json)")
    set_level(level)
    handler = _EngineHandler(target)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), _drop_leftovers],
            processors=[
                _add_record_fields,
                ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                *renderers,
            ],
        )
    )
    handler.addFilter(Repeats())
    root = logging.getLogger()
    for old in [known for known in root.handlers if isinstance(known, _EngineHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    logging.captureWarnings(True)
    _route_structlog()


def set_level(level: str) -> None:
    """Changes the least level that is logged, at once. Raises `ValueError` for an unknown one, changing nothing."""
    if level not in _LEVELS:
        raise ValueError(f"invalid logging level: {level} (right would be debug, info, warn, warning or error)")
    logging.getLogger().setLevel(_LEVELS[level])
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(_LEVELS[level], logging.WARNING))


def adopt_loggers(*names: str) -> None:
    """Takes loggers that brought their own handlers and level into ours.

    gunicorn's logger class sets those up whenever it is made, so ours calls this at the end of its `setup`, with
    `gunicorn.error` and `gunicorn.access`.
    """
    for name in names:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)


def _route_structlog() -> None:
    """Libraries that find structlog installed log through it (stamina does); its default would print to stdout."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _drop_leftovers(_: Any, __: str, event_dict: EventDict) -> EventDict:
    """What another handler's formatter has left on the record would look like fields of `extra`."""
    return {name: value for name, value in event_dict.items() if name not in {"message", "asctime"}}


def _add_record_fields(_: Any, __: str, event_dict: EventDict) -> EventDict:
    record: logging.LogRecord = event_dict["_record"]
    moment = datetime.fromtimestamp(record.created, UTC)
    clashing = {f"field_{name}": event_dict.pop(name) for name in _RESERVED if name in event_dict}
    stack = {"stack": event_dict.pop("stack_info")} if "stack_info" in event_dict else {}
    return {
        **event_dict,
        **clashing,
        **stack,
        "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
    }


def _console(*, colors: bool) -> Processor:
    """Tracebacks stay plain: structlog's pretty ones show local variables, and so secrets."""
    return structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback, pad_event_to=0, sort_keys=False
    )


def _may_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def _order_fields(_: Any, __: str, event_dict: EventDict) -> EventDict:
    core = {
        "time": event_dict.pop("timestamp"),
        "level": event_dict.pop("level"),
        "logger": event_dict.pop("logger"),
        "message": event_dict.pop("event"),
    }
    return {**core, **event_dict}


def _to_json(fields: Mapping[str, Any], **_: Any) -> str:
    try:
        return json.dumps(fields, default=repr)
    except (TypeError, ValueError, RecursionError):
        return json.dumps(
            {name: value if name in _CORE_FIELDS else repr(value) for name, value in fields.items()}, default=repr
        )


def _escape_control_characters(_: Any, __: str, event_dict: EventDict) -> EventDict:
    return {
        name: value.translate(_LINE_CONTROL if name in _SPANNING_LINES else _CONTROL)
        if isinstance(value, str)
        else value
        for name, value in event_dict.items()
    }
