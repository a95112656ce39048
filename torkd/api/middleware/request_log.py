"""Logs every request: method, URI, address of the client and status.

People search for what they look for, and put keys where they find room: of a query only values that can't be secret are shown.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from fnmatch import translate
from re import compile as compile_pattern

import falcon

from torkd.api.auth import address_of, caller_of
from torkd.hooks.secret_texts import REDACTED

log = logging.getLogger(__name__)

_TRACE = 5
_SHOWN = frozenset(
    {"page", "size", "state", "execution", "executionPage", "executionSize", "pretty", "dryRun", "count", "idPrefix"}
)
"""Parameters whose values are ours."""
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
        fields = {"method": req.method, "uri": _shown_uri(req), "remote_ip": address_of(req), "status": status}
        if "caller" in req.context:
            fields["user"] = caller_of(req).username
        log.log(self._level, "%s %s %d", req.method, req.path, status, extra=fields)


def _shown_uri(req: falcon.Request) -> str:
    path, question, query = req.relative_uri.partition("?")
    return path + question + "&".join(map(_shown_parameter, query.split("&")))


def _shown_parameter(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    return parameter if name in _SHOWN or not value else f"{name}{equals}{REDACTED}"
