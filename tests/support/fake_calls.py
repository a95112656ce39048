"""How tests get between a fake engine's calls: each is counted, can be made to fail, and is refused while the engine is away."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from torkd.runtime.containers.engine import EngineError, EngineUnavailable

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound="Interruptible")


@dataclass(frozen=True)
class Call:
    """A call of one of the engine's methods."""

    number: int
    """Counted from 1 over all methods."""
    nth: int
    """Counted from 1 for this method."""
    method: str
    arguments: tuple[Any, ...]
    """The positional ones, then the named ones."""


def counted(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Make a method one whose calls are counted, and met before and after they take effect."""

    @functools.wraps(method)
    def counting(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        call = self.note(method.__name__, (*args, *kwargs.values()))
        self.meet(call, after=False)
        result = method(self, *args, **kwargs)
        self.meet(call, after=True)
        return result

    return counting


class Interruptible:
    """What a fake engine and its streams share. `changed` guards everything of the engine."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.calls: list[Call] = []
        self._counts: Counter[str] = Counter()
        self._interference: list[tuple[bool, Callable[[Call], None]]] = []
        self._lost = ""

    def fail(self, method: str = "", *, nth: int = 1, after: bool = False, error: BaseException | None = None) -> None:
        """The nth call (of the method, or of all) raises the error: before it does anything, or after it did."""

        def raise_then(call: Call) -> None:
            if (call.method == method and call.nth == nth) or (not method and call.number == nth):
                raise error or EngineError(f"{call.method} failed")

        self.interfere(raise_then, after=after)

    def interfere(self, callback: Callable[[Call], None], *, after: bool = False) -> None:
        """Call this before, or after, each call's effect, in its thread; what it raises is what the call raises."""
        self._interference.append((after, callback))

    def count(self, method: str = "") -> int:
        """How many calls there were, of the method or of all."""
        with self.changed:
            return self._counts[method] if method else len(self.calls)

    def lose(self, reason: str = "connection refused") -> None:
        """Go away: whatever waits is cut off, and nothing is answered until it is found again."""
        with self.changed:
            self._lost = reason
            self.changed.notify_all()

    def find_again(self) -> None:
        """Answer again."""
        with self.changed:
            self._lost = ""

    def wait_for(self, condition: Callable[[], bool], seconds: float | None = None) -> None:
        """Wait, with `changed` held, for something to come true, or so long; raises `EngineUnavailable` when the engine goes away."""
        self.changed.wait_for(lambda: bool(self._lost) or condition(), seconds)
        self._check_presence()

    def note(self, method: str, arguments: tuple[Any, ...]) -> Call:
        """Count a call."""
        with self.changed:
            self._counts[method] += 1
            call = Call(len(self.calls) + 1, self._counts[method], method, arguments)
            self.calls.append(call)
            self.changed.notify_all()
        return call

    def meet(self, call: Call, *, after: bool) -> None:
        """Run what interferes with a call before it takes effect, or after."""
        if not after:
            self._check_presence()
        for when, callback in list(self._interference):
            if when is after:
                callback(call)

    def _check_presence(self) -> None:
        if self._lost:
            raise EngineUnavailable(f"the engine does not answer: {self._lost}")
