"""What a task may ask of its tmpfs mounts: how large they may grow, and the mode of the directory."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tork.errors import RuntimeFailure
from torkd.runtime.containers.quantities import memory_bytes

_MODE = re.compile(r"[0-7]{1,5}", re.ASCII)
_MAX_MODE = 0o7777


def tmpfs_options(options: Mapping[str, str]) -> dict[str, int]:
    """`TmpfsOptions` of Docker's API; other options than `size` and `mode` have no meaning. Raises `RuntimeFailure`."""
    checked: dict[str, int] = {}
    if size := options.get("size"):
        checked["SizeBytes"] = _read_size(size)
    if mode := options.get("mode"):
        checked["Mode"] = _read_mode(mode)
    return checked


def _read_size(text: str) -> int:
    try:
        return memory_bytes(text)
    except RuntimeFailure as error:
        raise RuntimeFailure(
            f"tmpfs option size is not a size: {text[:100]} (right would be such as '64m' or '1g')"
        ) from error


def _read_mode(text: str) -> int:
    mode = int(text, 8) if _MODE.fullmatch(text) else _MAX_MODE + 1
    if mode > _MAX_MODE:
        raise RuntimeFailure(f"tmpfs option mode is not a mode: {text[:100]} (right would be octal, such as '1777')")
    return mode
