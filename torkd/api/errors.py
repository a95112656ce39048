"""From errors to responses: `{"message": text}` with the status of the table below.

Exceptions know nothing of HTTP; this is the one place that does. Nothing unexpected is told to a client: it gets 500
without details, the log gets the traceback.
"""

from __future__ import annotations

import logging
from typing import Any

import falcon
import msgspec

from tork.errors import (
    BadData,
    DefinitionError,
    IdempotencyConflict,
    NotFound,
    Refused,
    StateConflict,
    TorkError,
    Unavailable,
)

log = logging.getLogger(__name__)

_STATUS: tuple[tuple[type[TorkError], int], ...] = (
    (DefinitionError, 400),
    (StateConflict, 400),
    (BadData, 400),
    (Refused, 400),
    (NotFound, 404),
    (IdempotencyConflict, 422),
    (Unavailable, 503),
)
RETRY_AFTER_SECONDS = "1"


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> falcon.HTTPError:
    """An error response with this text."""
    return falcon.HTTPError(falcon.code_to_http_status(status), title=message, headers=headers)


def status_of(error: TorkError) -> int:
    """The HTTP status of one of our errors."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def install(app: falcon.App[Any, Any]) -> None:
    """Make the app answer all errors as this module says."""
    app.set_error_serializer(_serialize)
    app.add_error_handler(Exception, _answer_unexpected)
    app.add_error_handler(TorkError, _answer_ours)
    app.add_error_handler(falcon.HTTPError, _answer_http)


def _answer_http(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: Any) -> None:
    resp.status = error.status
    if error.headers is not None:
        resp.set_headers(error.headers)
    _serialize(req, resp, error)


def _answer_ours(req: falcon.Request, resp: falcon.Response, error: TorkError, params: Any) -> None:
    status = status_of(error)
    if status == 500:
        _answer_unexpected(req, resp, error, params)
        return
    resp.status = status
    if status == 503:
        resp.set_header("Retry-After", RETRY_AFTER_SECONDS)
        log.warning("a request could not be answered: %s", error, extra={"method": req.method, "path": req.path})
    _tell(req, resp, str(error))


def _answer_unexpected(req: falcon.Request, resp: falcon.Response, error: Exception, params: Any) -> None:
    log.error("a request failed unexpectedly", exc_info=error, extra={"method": req.method, "path": req.path})
    resp.status = 500
    _tell(req, resp, "Internal Server Error")


def _serialize(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Falcon's own errors have titles such as `404 Not Found`."""
    status = falcon.code_to_http_status(error.status)
    title = error.title or status
    _tell(req, resp, title.partition(" ")[2] if title == status else title)


def _tell(req: falcon.Request, resp: falcon.Response, message: str) -> None:
    data = msgspec.json.encode({"message": message})
    resp.content_type = "application/json"
    resp.stream = None
    resp.data = msgspec.json.format(data, indent=2) + b"\n" if "pretty" in req.params else data
