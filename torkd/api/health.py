"""`GET /health`: UP when everything this process stands on answers, and what does not."""

from __future__ import annotations

from typing import Any, Literal

import falcon

from tork.wire import Told
from torkd.accounts.caller import NOBODY
from torkd.api.auth import caller_of
from torkd.api.media import answer
from torkd.api.operations import operation
from torkd.checks import Checks


class Indicator(Told, frozen=True, kw_only=True):
    """A part that this process stands on."""

    status: Literal["UP", "DOWN"]
    error: str = ""


class Health(Told, frozen=True, kw_only=True):
    """The answer, also with the status 503 when it is DOWN."""

    status: Literal["UP", "DOWN"]
    version: str
    indicators: dict[str, Indicator] = {}


class HealthResource:
    """The health of this process."""

    def __init__(self, checks: Checks, version: str) -> None:
        self._checks = checks
        self._version = version

    @operation("Whether everything that this process stands on works", answer=Health, others={503: Health})
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        errors = self._checks.look()
        is_up = not any(errors.values())
        if not is_up:
            resp.status = 503
        document: dict[str, Any] = {"status": "UP" if is_up else "DOWN", "version": self._version}
        if caller_of(req) is not NOBODY:
            # Names and errors say much of what is behind the API: not to those who have not said who they are.
            document["indicators"] = {
                name: {"status": "DOWN", "error": error} if error else {"status": "UP"}
                for name, error in errors.items()
            }
        answer(req, resp, document)
