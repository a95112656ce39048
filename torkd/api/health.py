"""`GET /health`: UP when everything this process stands on answers. What does not is named in the log only."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Literal

import falcon

from tork.wire import Told
from torkd.api.media import answer
from torkd.api.operations import operation

log = logging.getLogger(__name__)

Indicators = Mapping[str, Callable[[], object]]
"""By name, a check that raises when something is wrong."""


class Health(Told, frozen=True, kw_only=True):
    """The answer, also with the status 503 when it is DOWN."""

    status: Literal["UP", "DOWN"]
    version: str


class HealthResource:
    """The health of this process."""

    def __init__(self, indicators: Indicators, version: str) -> None:
        self._indicators = indicators
        self._version = version

    @operation("Whether everything that this process stands on works", answer=Health, others={503: Health})
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        up = all(self._is_up(name) for name in self._indicators)
        if not up:
            resp.status = 503
        answer(req, resp, {"status": "UP" if up else "DOWN", "version": self._version})

    def _is_up(self, name: str) -> bool:
        try:
            self._indicators[name]()
        except Exception as error:  # noqa: BLE001 - whatever a check raises means it is down
            log.warning("health: %s is down: %s", name, error, extra={"indicator": name})
            return False
        return True
