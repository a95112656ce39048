"""What tests of whole runs in containers share: a fake engine that has the image, and no waiting where nothing has to be waited for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.container_play import ServedEngine, a_server
from torkd.runtime.containers import removal, watch


@pytest.fixture
def engine() -> Iterator[ServedEngine]:
    """Has the image `bb`; its published ports answer 200."""
    with a_server() as port:
        engine = ServedEngine("bb")
        engine.served_port = port
        yield engine


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries again at once."""
    monkeypatch.setattr(removal, "TRIES", 2)
    monkeypatch.setattr(removal, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 0.002)
    monkeypatch.setattr(watch, "_BRIEF_SECONDS", 0.002)
