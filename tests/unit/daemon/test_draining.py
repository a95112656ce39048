from __future__ import annotations

from typing import Any

import pytest

from torkd.wiring import Engine


class DrainedWorker:
    running_count = 0

    def __init__(self) -> None:
        self.asked: tuple[float | None, bool] | None = None

    def drain(self, seconds: float | None = None, *, leave: bool = False) -> None:
        self.asked = seconds, leave


@pytest.mark.parametrize(
    ("drain_seconds", "short", "is_private", "asked"),
    [
        pytest.param(0.0, False, False, (0.0, True), id="no time: what can go on is left to the next start"),
        pytest.param(30.0, False, False, (30.0, False), id="some time: then all is handed back"),
        pytest.param(30.0, True, False, (0.0, False), id="Ctrl-C: all is handed back at once"),
        pytest.param(0.0, True, False, (0.0, False), id="Ctrl-C where there is no time anyway"),
        pytest.param(0.0, False, True, (0.0, False), id="a private engine has no next start"),
    ],
)
def test_runs_are_left_only_by_a_daemon_that_will_be_back(
    drain_seconds: float, short: bool, is_private: bool, asked: tuple[float, bool]
) -> None:
    worker: Any = DrainedWorker()
    nothing: Any = None
    engine = Engine(
        datastore=nothing,
        broker=nothing,
        runtime=nothing,
        coordinator=nothing,
        worker=worker,
        app=nothing,
        streams=nothing,
        drain_seconds=drain_seconds,
        is_private=is_private,
    )
    engine.drain(short=short)
    assert worker.asked == asked
