"""Whether what a process stands on works: each part has a name, and a check that raises when something is wrong.

A check that hangs counts as failed within seconds, and none is made more than once a second, however many ask. That a part
fails is logged when it begins and when it ends.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping

from tork.errors import Unavailable
from torkd.recent import FRESH_SECONDS, PATIENCE_SECONDS, Recent

log = logging.getLogger(__name__)

Indicators = Mapping[str, Callable[[], object]]
"""By name, a check that raises when something is wrong."""

_LONGEST = 500
_CREDENTIALS = (
    (re.compile(r"://[^\s/]*@"), "://"),
    (
        re.compile(r"\b(password|passwd|pwd|secret|token)(\s*[=:]\s*)('[^']*'|\"[^\"]*\"|\S+)", re.IGNORECASE),
        r"\1\2***",
    ),
)


def without_credentials(text: str) -> str:
    """The first line of an error, as it may be shown: what connects somewhere may have its password in it."""
    line = next(iter(text.strip().splitlines()), "")
    for pattern, instead in _CREDENTIALS:
        line = pattern.sub(instead, line)
    return line[:_LONGEST]


class Checks:
    """The checks of one process. Safe to use from several threads."""

    def __init__(
        self,
        indicators: Indicators,
        *,
        fresh_seconds: float = FRESH_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._latest = {
            name: Recent(check, fresh_seconds=fresh_seconds, patience_seconds=patience_seconds)
            for name, check in indicators.items()
        }
        self._lock = threading.Lock()
        self._down: set[str] = set()

    def begin(self) -> None:
        """Begin to look. Returns at once."""
        for latest in self._latest.values():
            latest.begin()

    def look(self) -> dict[str, str]:
        """Every part with what is wrong with it; an empty text where it works."""
        self.begin()  # all at once: several that hang take no longer than one
        return {name: self._error_of(name, latest) for name, latest in self._latest.items()}

    def _error_of(self, name: str, latest: Recent[object]) -> str:
        try:
            latest.get()
        except Unavailable as failure:
            error = without_credentials(str(failure)) or "it does not work"
            self._note(name, error)
            return error
        self._note(name, "")
        return ""

    def _note(self, name: str, error: str) -> None:
        with self._lock:
            is_news = bool(error) != (name in self._down)
            if error:
                self._down.add(name)
            else:
                self._down.discard(name)
        if is_news and error:
            log.warning("health: %s is down: %s", name, error, extra={"indicator": name})
        elif is_news:
            log.info("health: %s is up again", name, extra={"indicator": name})
