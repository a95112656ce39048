from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.account_world import World, a_world


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with a_world() as world:
        yield world
