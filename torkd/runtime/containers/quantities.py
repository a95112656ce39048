"""Limits as job files and the settings write them: processors into billionths of one, memory into bytes.

Whole numbers all the way, so nothing is rounded but a fraction of a byte, which is dropped as Docker does. A limit of zero is
refused: engines would take it for no limit at all.
"""

from __future__ import annotations

import re

from tork.errors import RuntimeFailure

NANO_CPUS_PER_CPU = 10**9
_DECIMALS = 9
_LARGEST = 2**63 - 1
"""What an engine's API can hold."""
_LONGEST = 64
"""Characters of a number: far more than any that fits."""
_CPUS = re.compile(r"(?P<minus>-?)(?P<whole>\d*)(?:\.(?P<part>\d*))?(?:/(?P<divisor>\d+))?", re.ASCII)
_MEMORY = re.compile(
    r"(?P<minus>-?)(?P<whole>\d*)(?:\.(?P<part>\d*))? ?(?:b|(?P<unit>[kmgtp])(?:i?b)?)?", re.ASCII | re.IGNORECASE
)
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_SOME_CPUS = "such as '1', '.5' or '1/2'"
_SOME_MEMORY = "such as '512m' or '1.5g'"


def nano_cpus(text: str) -> int:
    """Billionths of a processor in `2`, `.5` or `1/2`. Raises `RuntimeFailure`."""
    found = _fit(_CPUS, text)
    if found is None or (found["divisor"] and found["part"] is not None):
        raise _invalid_cpus(text, "is not a number of processors")
    divisor = int(found["divisor"] or 1)
    if divisor == 0:
        raise _invalid_cpus(text, "divides by zero")
    digits, scale = _digits(found)
    scaled = digits * NANO_CPUS_PER_CPU
    unit = divisor * scale
    if scaled % unit:
        raise RuntimeFailure(
            f"invalid CPUs value: value is too precise (right would be at most {_DECIMALS} decimals, {_SOME_CPUS})"
        )
    count = scaled // unit
    if count == 0 or found["minus"]:
        raise _invalid_cpus(text, "is not above zero")
    if count > _LARGEST:
        raise _invalid_cpus(text, "is too large")
    return count


def memory_bytes(text: str) -> int:
    """Bytes in `512m`, `1.5g` or `64 KiB`: powers of 1024, and bytes without a unit. Raises `RuntimeFailure`."""
    found = _fit(_MEMORY, text)
    if found is None:
        raise _invalid_memory(text, "is not an amount of memory")
    digits, scale = _digits(found)
    unit = _UNITS[(found["unit"] or "").lower()]
    size = digits * unit // scale
    if size == 0 or found["minus"]:
        raise _invalid_memory(text, "is not above zero")
    if size > _LARGEST:
        raise _invalid_memory(text, "is too large")
    return size


def _fit(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = pattern.fullmatch(text) if len(text) <= _LONGEST else None
    return found if found is not None and (found["whole"] or found["part"]) else None


def _digits(found: re.Match[str]) -> tuple[int, int]:
    """All digits as one number, and what it is to be divided by because some of them are decimals."""
    part = found["part"] or ""
    return int(found["whole"] + part), int("1" + "0" * len(part))


def _invalid_cpus(text: str, fault: str) -> RuntimeFailure:
    return RuntimeFailure(f"invalid CPUs value: {_shown(text)} {fault} (right would be {_SOME_CPUS})")


def _invalid_memory(text: str, fault: str) -> RuntimeFailure:
    return RuntimeFailure(f"invalid memory value: {_shown(text)} {fault} (right would be {_SOME_MEMORY})")


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
