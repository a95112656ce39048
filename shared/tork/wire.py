"""JSON as the REST API and our own messages speak it: camelCase names, empty fields omitted, times in UTC.

Two roots for the model classes: `Given` for what users send (an unknown field is their mistake and is refused), `Told`
for what we send (an unknown field comes from a newer version and is ignored).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_ENCODER = msgspec.json.Encoder()


class Given(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """A value that users write: unknown fields are refused."""


class Told(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A value that we write: unknown fields are ignored when read back."""


def encode(value: Any) -> bytes:
    """The value as JSON, without white space."""
    return _ENCODER.encode(value)


def encode_text(value: Any) -> str:
    """The value as JSON text, without white space."""
    return _ENCODER.encode(value).decode()


def decode(data: bytes | str, to: type[T]) -> T:
    """Read JSON of our own into `to`. Raises `msgspec.ValidationError` or `msgspec.DecodeError`."""
    return msgspec.json.decode(data, type=to)


def as_utc(moment: datetime) -> datetime:
    """The same moment, told in UTC."""
    return moment.astimezone(UTC)
