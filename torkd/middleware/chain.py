"""Calling what operators registered: in the order of registration, and never hurt by what it raises.

What fails is told in the log, once a minute for each method of each middleware, and the rest goes on with the value as it was.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from tork.errors import Refused

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

SILENCE_SECONDS = 60.0


class Chain:
    """One method of all middleware of a kind. False when nobody has overridden it."""

    __slots__ = ("_calls", "_clock", "_lock", "_told_at", "_what")

    def __init__(
        self,
        middleware: Iterable[object] = (),
        method: str = "",
        port: type = object,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`port` is the class whose method of that name does nothing."""
        nothing = getattr(port, method, None)
        self._what = method
        self._calls: list[tuple[str, Callable[..., Any]]] = [
            (type(one).__qualname__, getattr(one, method))
            for one in middleware
            if getattr(type(one), method, nothing) is not nothing
        ]
        self._clock = clock
        self._lock = threading.Lock()
        self._told_at: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def tell(self, *values: object) -> None:
        """Call each with these values."""
        for name, call in self._calls:
            try:
                call(*values)
            except Exception as error:  # noqa: BLE001 -- it may be anybody's
                self._complain(name, error)

    def change(self, value: T, *others: object, may_refuse: bool = False, must_work: bool = False) -> T:
        """What they make of the value, each of what the one before it has made.

        With `may_refuse`, `Refused` goes through; with `must_work`, whatever else one raises becomes a `Refused` that names it.
        """
        for name, call in self._calls:
            try:
                changed = call(value, *others)
                if not isinstance(changed, type(value)):
                    raise TypeError(f"it returned {type(changed).__name__} (right would be {type(value).__name__})")
            except Exception as error:  # it may be anybody's
                if may_refuse and isinstance(error, Refused):
                    raise
                self._complain(name, error)
                if must_work:
                    raise Refused(f"{name}.{self._what} failed: {error or type(error).__name__}") from error
            else:
                value = changed
        return value

    def _complain(self, name: str, error: Exception) -> None:
        now = self._clock()
        with self._lock:
            told_at = self._told_at.get(name)
            if told_at is not None and now - told_at < SILENCE_SECONDS:
                return
            self._told_at[name] = now
        _LOG.error("the middleware %s failed in %s: %s", name, self._what, error, exc_info=error)
