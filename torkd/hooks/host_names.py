"""Asks for the addresses of hosts, in a bounded time: the system's own question has no deadline, and can't be ended.

Each question has a thread of its own, which nobody waits for longer than they like. Invariants: of one host it is asked once at a
time, so a name whose servers never answer holds one thread however often it is asked for; and of all hosts there are a bounded
number of questions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

MOST_QUESTIONS = 64
"""At a time. Those are let go that nobody waits for any more, but not ended before the system ends them."""

Resolve = Callable[[str, int], list[str]]


class NoAddressInTime(Exception):
    """The question is not answered yet, or could not even be asked."""


class HostNames:
    """Asked from any thread."""

    def __init__(self, resolve: Resolve, *, most: int = MOST_QUESTIONS) -> None:
        """`resolve` takes as long as it likes."""
        self._resolve, self._most = resolve, most
        self._lock = threading.Lock()
        self._asked: dict[tuple[str, int], Future[list[str]]] = {}

    def addresses(self, host: str, port: int, seconds: float | None) -> list[str]:
        """The addresses of a host, in the order they should be tried. Raises `NoAddressInTime`, and what `resolve` does."""
        try:
            return self._question(host, port).result(seconds)
        except TimeoutError as error:
            raise NoAddressInTime from error

    def _question(self, host: str, port: int) -> Future[list[str]]:
        with self._lock:
            question = self._asked.get((host, port))
            if question is None:
                if len(self._asked) >= self._most:
                    raise NoAddressInTime
                question = Future()
                threading.Thread(target=self._ask, args=(host, port, question), name="host-name", daemon=True).start()
                self._asked[host, port] = question
            return question

    def _ask(self, host: str, port: int, question: Future[list[str]]) -> None:
        try:
            found = self._resolve(host, port)
        except Exception as error:  # noqa: BLE001 -- it is raised where it was asked
            question.set_exception(error)
        else:
            question.set_result(found)
        finally:
            with self._lock:
                del self._asked[host, port]
