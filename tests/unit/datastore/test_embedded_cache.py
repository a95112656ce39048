"""How much memory the private database may take for itself."""

from __future__ import annotations

import pytest

from torkd.datastore.embedded import cache_bytes

GB, MB = 1 << 30, 1 << 20


@pytest.mark.parametrize(
    ("memory", "limits", "expected"),
    [
        pytest.param(1 * GB, [], 128 * MB, id="a small machine"),
        pytest.param(4 * GB, [], 256 * MB, id="a sixteenth"),
        pytest.param(256 * GB, [], 512 * MB, id="a large machine"),
        pytest.param(256 * GB, [f"{4 * GB}\n"], 256 * MB, id="a container of it"),
        pytest.param(4 * GB, ["max\n"], 256 * MB, id="a container without a limit"),
        pytest.param(4 * GB, ["9223372036854771712\n"], 256 * MB, id="the first version's word for no limit"),
    ],
)
def test_it_grows_with_the_memory_that_there_is(memory: int, limits: list[str], expected: int) -> None:
    assert cache_bytes(memory, limits) == expected
