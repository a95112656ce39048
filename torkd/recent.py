"""A question that may take long, asked of something that may hang: once for all who want to know at the same time.

It is asked in a thread of its own, so nobody waits longer than is bearable, and not again while its answer is fresh, so it
costs the same however many want to know.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tork.errors import TorkError, Unavailable

T = TypeVar("T")

FRESH_SECONDS = 1.0
PATIENCE_SECONDS = 3.0


@dataclass(slots=True, eq=False)
class _Asking:
    """One time the question was asked."""

    began_at: float
    ended_at: float = 0.0
    is_answered: threading.Event = field(default_factory=threading.Event)
    answers: list[object] = field(default_factory=list)
    """One, once it is there; none when there is an error."""
    error: str = ""


class Recent(Generic[T]):
    """The latest answer. Safe to use from several threads."""

    def __init__(
        self,
        ask: Callable[[], T],
        *,
        fresh_seconds: float = FRESH_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._fresh_seconds = fresh_seconds
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._asking: _Asking | None = None

    def begin(self) -> None:
        """Ask, unless the answer is fresh or on its way. Returns at once."""
        self._begin()

    def get(self) -> T:
        """The answer. Raises `Unavailable` with the reason when there is none, or none in time."""
        asking = self._begin()
        left = asking.began_at + self._patience_seconds - self._clock()
        if not asking.is_answered.wait(max(left, 0.0)):
            raise Unavailable(f"no answer within {self._patience_seconds:g} s")
        if asking.error:
            raise Unavailable(asking.error)
        return asking.answers[0]  # type: ignore[return-value]  # what `ask` has answered

    def _begin(self) -> _Asking:
        now = self._clock()
        with self._lock:
            latest = self._asking
            if latest is not None and not (
                latest.is_answered.is_set() and now - latest.ended_at >= self._fresh_seconds
            ):
                return latest
            asking = _Asking(now)
            # Where no thread can be started this raises, and who asks next tries again.
            threading.Thread(target=self._run, args=(asking,), name="question", daemon=True).start()
            self._asking = asking
        return asking

    def _run(self, asking: _Asking) -> None:
        try:
            asking.answers.append(self._ask())
        except TorkError as error:
            asking.error = str(error) or type(error).__name__
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is why there is no answer
            asking.error = f"{type(error).__name__}: {error}"
        asking.ended_at = self._clock()
        asking.is_answered.set()
