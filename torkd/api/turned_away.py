"""Answers to what no application sees: requests that are no proper HTTP, never arrive, or are too many. JSON, as everything else."""

from __future__ import annotations

import socket
import ssl

import falcon
import msgspec
from gunicorn import util
from gunicorn.http import errors as http_errors

_CLIENT_ERRORS: tuple[tuple[type[Exception], int], ...] = (
    (http_errors.LimitRequestLine, 414),
    (http_errors.LimitRequestHeaders, 431),
    (http_errors.ForbiddenProxyRequest, 403),
    (http_errors.UnsupportedTransferCoding, 501),
    (http_errors.ExpectationFailed, 417),
    (http_errors.ParseException, 400),
    (ssl.SSLError, 400),
)
_AGAIN = {503: "Retry-After: 1\r\n"}


def status_of(error: BaseException) -> int:
    """Of what gunicorn raises for a request; 500 for a failure of ours."""
    return next((status for kind, status in _CLIENT_ERRORS if isinstance(error, kind)), 500)


def turn_away(sock: socket.socket, status: int, message: str = "") -> None:
    """Say so as far as the client takes it; without a message in the words of HTTP."""
    line = falcon.code_to_http_status(status)
    body = msgspec.json.encode({"message": message or line.partition(" ")[2]})
    head = (
        f"HTTP/1.1 {line}\r\nConnection: close\r\n{_AGAIN.get(status, '')}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    try:
        util.write_nonblock(sock, head.encode() + body)
    except OSError:
        pass  # whoever sent it is gone
