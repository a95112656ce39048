"""Sizes as settings write them: `500K`, `64M`, `1Gi`, `1.5GB`; a plain number is bytes.

`K`, `M`, `G`, `T`, `P` are powers of 1000 and `Ki` … `Pi` powers of 1024, in any case, with or without a final `B`.
(`memory` limits of tasks follow the container engines instead, where every unit is a power of 1024.)
"""

from __future__ import annotations

import re
from decimal import Decimal

_SIZE = re.compile(r"(\d{1,19}(?:\.\d{1,9})?) ?([kmgtp]i?)?b?", re.ASCII | re.IGNORECASE)
_EXPONENT = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_MAX_BYTES = 2**63 - 1


def parse_size(text: str) -> int:
    """The size in bytes. Raises `ValueError` with what would be right."""
    match = _SIZE.fullmatch(text)
    if match:
        unit = (match[2] or "").lower()
        step = 1024 if unit.endswith("i") else 1000
        size = int(Decimal(match[1]) * step ** _EXPONENT[unit[:1]])
        if size <= _MAX_BYTES:
            return size
    raise ValueError("not a size (right would be a number with K, M, G, T, P or Ki, Mi, …, such as '500K' or '64M')")


def format_size(size: int) -> str:
    """The shortest exact text that `parse_size` reads back: `500K`, `1Gi`, `1234`."""
    for unit in ("p", "t", "g", "m", "k"):
        for step, suffix in ((1000, unit.upper()), (1024, f"{unit.upper()}i")):
            count, rest = divmod(size, step ** _EXPONENT[unit])
            if count and not rest:
                return f"{count}{suffix}"
    return str(size)
