"""Values as text: what `{{ }}` puts into a template and `string()` gives.

Structures are written piece by piece against a bound, because shared parts can make a small value enormous as text.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tork.expression import layouts
from tork.expression.dates import Date, Duration, Named, Zone
from tork.expression.faults import Fault
from tork.expression.kinds import Summary, kind

_PLAIN_EXPONENTS = range(-4, 6)


def show(value: Any, limit: int) -> str:
    """The value as text, of at most `limit` characters. Raises `Fault`."""
    text = _SCALARS[type(value)](value) if type(value) in _SCALARS else None
    if text is None:
        pieces = _Pieces(limit)
        _write(value, pieces)
        return "".join(pieces.written)
    if len(text) > limit:
        raise Fault(f"the resulting string is longer than {limit} characters")
    return text


class _Pieces:
    def __init__(self, limit: int) -> None:
        self.written: list[str] = []
        self.limit = limit
        self._left = limit

    def put(self, piece: str) -> None:
        self._left -= len(piece)
        if self._left < 0:
            raise Fault(f"the resulting string is longer than {self.limit} characters")
        self.written.append(piece)


def _write(value: Any, pieces: _Pieces) -> None:
    if isinstance(value, Summary):
        value = value.fields
    if type(value) is list:
        pieces.put("[")
        for number, item in enumerate(value):
            if number:
                pieces.put(" ")
            _write(item, pieces)
        pieces.put("]")
    elif type(value) is dict:
        pieces.put("map[")
        for number, key in enumerate(sorted(value, key=key_order)):
            if number:
                pieces.put(" ")
            _write(key, pieces)
            pieces.put(":")
            _write(value[key], pieces)
        pieces.put("]")
    elif type(value) in _SCALARS:
        pieces.put(_SCALARS[type(value)](value))
    else:
        raise Fault(f"a value of kind {kind(value)} can't be shown as text")


def key_order(key: Any) -> tuple[int, Any]:
    """Sorts the keys of a map; other keys than strings come from groupBy and fromPairs."""
    if key is None:
        return 0, 0
    if type(key) is bool:
        return 1, key
    return (3, key) if type(key) is str else (2, key)


def show_float(value: float) -> str:
    """The shortest digits that read back the same; with an exponent below 1e-4 and from 1e6."""
    if value != value:
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "+Inf" if value > 0 else "-Inf"
    sign, digits, exponent = float_digits(value)
    if exponent in _PLAIN_EXPONENTS:
        return sign + plain_digits(digits, exponent)
    point = "." if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{point}{digits[1:]}e{'-' if exponent < 0 else '+'}{abs(exponent):02}"


def float_digits(value: float) -> tuple[str, str, int]:
    """Sign, shortest digits d.ddd... without the point, and the decimal exponent of the first."""
    decimal = Decimal(repr(value))
    negative, digits, _ = decimal.as_tuple()
    text = "".join(map(str, digits)).rstrip("0") or "0"
    return "-" if negative else "", text, decimal.adjusted() if text != "0" else 0


def plain_digits(digits: str, exponent: int) -> str:
    """The number without an exponent, and without a point where it is whole."""
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    fraction = digits[exponent + 1 :]
    return f"{whole}.{fraction}" if fraction else whole


_SCALARS: dict[type, Callable[[Any], str]] = {
    str: lambda value: value,
    bool: lambda value: "true" if value else "false",
    int: str,
    type(None): lambda _: "<nil>",
    float: show_float,
    Date: lambda value: layouts.write(value, layouts.RENDERED),
    Duration: str,
    Named: str,
    Zone: str,
}
