"""Size and mode of a tmpfs mount."""

from __future__ import annotations

import pytest

from tork.errors import RuntimeFailure
from torkd.runtime.containers.tmpfs_options import tmpfs_options


@pytest.mark.parametrize(
    ("options", "checked"),
    [
        ({}, {}),
        ({"size": "", "mode": ""}, {}),
        ({"noexec": "true"}, {}),
        ({"size": "1024"}, {"SizeBytes": 1024}),
        ({"size": "64m"}, {"SizeBytes": 64 * 1024**2}),
        ({"size": "1.5G"}, {"SizeBytes": 3 * 512 * 1024**2}),
        ({"size": "2 KiB"}, {"SizeBytes": 2048}),
        ({"mode": "1777"}, {"Mode": 0o1777}),
        ({"mode": "0700", "size": "1k"}, {"SizeBytes": 1024, "Mode": 0o700}),
    ],
    ids=["none", "empty", "ignored", "bytes", "megabytes", "decimal", "spelled out", "mode", "both"],
)
def test_options_are_read(options: dict[str, str], checked: dict[str, int]) -> None:
    assert tmpfs_options(options) == checked


@pytest.mark.parametrize("size", ["0", "big", "-1", "1x", "9" * 15 + "p", "1m,exec", "٣"])
def test_a_wrong_size_is_named(size: str) -> None:
    with pytest.raises(RuntimeFailure, match=r"^tmpfs option size is not a size: .*\(right would be"):
        tmpfs_options({"size": size})


@pytest.mark.parametrize("mode", ["8", "rwx", "-1", "0o7", "77777", "1777,exec"])
def test_a_wrong_mode_is_named(mode: str) -> None:
    with pytest.raises(RuntimeFailure, match=r"^tmpfs option mode is not a mode: .*\(right would be"):
        tmpfs_options({"mode": mode})
