"""Logs every request: method, URI, address of the client and status."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from fnmatch import translate
from re import compile as compile_pattern

import falcon

log = logging.getLogger(__name__)

_TRACE = 5
_LEVELS = {
    "TRACE": _TRACE,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
}


class RequestLog:
    """At `level`, without requests that match one of `skip` (`METHOD /path`, where `*` stands for anything)."""

    def __init__(self, level: str, skip: Iterable[str]) -> None:
        self._level = _LEVELS[level.upper()]
        patterns = [translate(pattern.strip()) for pattern in skip]
        self._skip = compile_pattern("|".join(patterns)) if patterns else None

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        if not log.isEnabledFor(self._level):
            return
        if self._skip is not None and self._skip.match(f"{req.method} {req.path}"):
            return
        status = resp.status_code
        fields = {"method": req.method, "uri": req.relative_uri, "remote_ip": req.remote_addr, "status": status}
        log.log(self._level, "%s %s %d", req.method, req.path, status, extra=fields)
