"""How long the watch sleeps between two looks, by a clock of its own."""

from __future__ import annotations

import queue
from collections.abc import Callable
from pathlib import Path

import pytest

from torkctl.client import Api, Patience, Transport
from torkctl.diagnostics import ExitCode
from torkctl.inbox import watcher
from torkctl.inbox.happenings import Happening, Kind
from torkctl.inbox.names import Selection
from torkctl.inbox.watcher import Message, Order, Stop, Watcher
from torkctl.settings import Credentials

ROUNDS = 200


class Clock:
    """Goes on only while the watch sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


class Sleeps(queue.SimpleQueue[Message]):
    """An inbox into which nothing comes until the last round."""

    def __init__(self, clock: Clock, begin: Callable[[], object]) -> None:
        super().__init__()
        self._clock = clock
        self._begin = begin
        self.seconds: list[float] = []

    def get(self, block: bool = True, timeout: float | None = None) -> Message:
        if not self.seconds:
            self._begin()
        self.seconds.append(timeout or 0.0)
        self._clock.now += timeout or 0.0
        if len(self.seconds) == ROUNDS:
            return Stop(ExitCode.DONE)
        raise queue.Empty


def test_a_watch_sleeps_however_long_its_folder_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "inbox"
    folder.mkdir()
    clock, told = Clock(), list[Happening]()
    monkeypatch.setattr(watcher, "time", clock)
    monkeypatch.setattr(watcher, "tells_of_changes", lambda _root: False)
    sleeps = Sleeps(clock, folder.rmdir)
    transport = Transport("http://127.0.0.1:9", Credentials())
    api = Api(transport, lambda: Patience(window_seconds=0))
    assert Watcher(Order(folder=str(folder), selection=Selection()), api, told.append, sleeps).run() is ExitCode.DONE
    transport.close()
    assert [happening.message[:14] for happening in told if happening.kind is Kind.WAITING] == [
        "for the server",
        "for the folder",
    ]
    assert sum(sleeps.seconds) > 120, "longer than what is done once a minute needs to come again"
    assert sleeps.seconds.count(0.0) < 5
