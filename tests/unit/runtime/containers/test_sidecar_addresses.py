from __future__ import annotations

import pytest

from tork.errors import RuntimeFailure
from torkd.runtime.containers.sidecars import address_of


@pytest.mark.parametrize(
    ("place", "address"),
    [
        pytest.param("unix:///var/run/docker.sock", "127.0.0.1", id="a socket"),
        pytest.param("tcp://127.0.0.1:2375", "127.0.0.1", id="loopback"),
        pytest.param("tcp://localhost:2375", "127.0.0.1", id="localhost"),
        pytest.param("tcp://192.0.2.7:2376", "192.0.2.7", id="another host"),
        pytest.param("ssh://me@192.0.2.7", "192.0.2.7", id="by ssh"),
    ],
)
def test_a_port_is_published_where_the_engine_is_reached_and_nowhere_else(place: str, address: str) -> None:
    assert address_of(place) == address


def test_an_engine_on_a_host_that_nobody_knows_is_named() -> None:
    with pytest.raises(RuntimeFailure, match=r"^the engine's host nowhere\.invalid is not known: "):
        address_of("tcp://nowhere.invalid:2375")
