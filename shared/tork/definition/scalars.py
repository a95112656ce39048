"""What a written value means for a field that wants a number or a yes or no. Text fields take the source as it is.

Numbers follow the YAML of the reference: underscores are ignored, `0x`, `0o`, `0b` and a leading `0` choose the base,
and a fraction is cut off for a whole number.
"""

from __future__ import annotations

import math
import re

from tork.definition.tree import Kind, Scalar

_WHOLE = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_MAX_DIGITS = 100
_OLD_OCTAL = re.compile(r"^([-+]?)0(?=[0-7])")

_TRUE = frozenset({"true", "y", "yes", "on"})
_FALSE = frozenset({"false", "n", "no", "off"})


def whole_number(scalar: Scalar) -> int | None:
    """The value for a whole-number field, or None when it is not a number."""
    digits = _digits(scalar)
    if digits is not None and _WHOLE.fullmatch(digits):
        return int(_OLD_OCTAL.sub(r"\g<1>0o", digits), 0)
    value = number(scalar)
    return None if value is None else math.trunc(value)


def number(scalar: Scalar) -> float | None:
    """The value for a number field, or None when it is not a finite number."""
    digits = _digits(scalar)
    if digits is None:
        return None
    if _WHOLE.fullmatch(digits):
        return float(int(_OLD_OCTAL.sub(r"\g<1>0o", digits), 0))
    if not _DECIMAL.fullmatch(digits):
        return None
    value = float(digits)
    return value if math.isfinite(value) else None


def yes_or_no(scalar: Scalar) -> bool | None:
    """The value for a yes-or-no field, or None when it is neither."""
    if scalar.kind is Kind.BOOLEAN:
        return scalar.text == "true"
    word = scalar.text.lower()
    if scalar.kind is not Kind.PLAIN or word not in _TRUE | _FALSE:
        return None
    return word in _TRUE


def looks_like(scalar: Scalar) -> str:
    """What the reader sees there, in words."""
    if scalar.kind is Kind.NUMBER:
        return "a number"
    if scalar.kind is Kind.BOOLEAN:
        return "true or false"
    return "text"


def _digits(scalar: Scalar) -> str | None:
    if scalar.kind not in {Kind.PLAIN, Kind.NUMBER} or len(scalar.text) > _MAX_DIGITS:
        return None
    return scalar.text.replace("_", "") if scalar.text[:1] != "_" else None
