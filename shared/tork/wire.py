"""JSON as the REST API and our own messages speak it: camelCase names, empty fields omitted, times in UTC.

Two roots for the model classes: `Given` for what users send (an unknown field is their mistake and is refused), `Told`
for what we send (an unknown field comes from a newer version and is ignored).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

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


def plain(value: Any) -> Any:
    """A model value as dicts, lists and scalars. Times stay times, so that no text of a user is taken for one."""
    return msgspec.to_builtins(value, builtin_types=(datetime,))


def encode_plain(document: Any) -> bytes:
    """The JSON of a plain document, which is used up by this. Times end in Z, without trailing zeros."""
    return _ENCODER.encode(_with_times(document))


def decode(data: bytes | str, to: type[T]) -> T:
    """Read JSON of our own into `to`. Raises `msgspec.ValidationError` or `msgspec.DecodeError`."""
    return msgspec.json.decode(data, type=to)


class StoredDecoder(Generic[T]):
    """Reads stored documents: what a newer version wrote and this one does not know is left out, at any depth.

    Model values that users send refuse unknown fields, and the same classes are stored. A document of this version is read
    at full speed; only one with surprises costs more.
    """

    def __init__(self, to: type[T]) -> None:
        self._to = to
        self._decode = msgspec.json.Decoder(to).decode

    def decode(self, data: bytes | str) -> T:
        """The value. Raises `msgspec.ValidationError` for what is wrong in other ways."""
        try:
            return self._decode(data)
        except msgspec.ValidationError as error:
            if not _UNKNOWN.match(str(error)):
                raise
        document = msgspec.json.decode(data)
        for _ in range(_MOST_UNKNOWN):
            try:
                return msgspec.convert(document, self._to)
            except msgspec.ValidationError as error:
                unknown = _UNKNOWN.match(str(error))
                if unknown is None:
                    raise
                _leave_out(document, unknown["path"] or "", unknown["name"])
        return msgspec.convert(document, self._to)


_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*?)`(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_MOST_UNKNOWN = 1_000


def _leave_out(document: Any, path: str, name: str) -> None:
    for field, index in _STEP.findall(path):
        document = document[field] if field else document[int(index)]
    del document[name]


def _with_times(value: Any) -> Any:
    """The document with its times as text, changed in place."""
    match value:
        case datetime():
            return _time_text(value)
        case dict():
            for key, inner in value.items():
                if isinstance(inner, dict | list | datetime):
                    value[key] = _with_times(inner)
        case list():
            for index, inner in enumerate(value):
                if isinstance(inner, dict | list | datetime):
                    value[index] = _with_times(inner)
    return value


def _time_text(moment: datetime) -> str:
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return f"{text.rstrip('0') if '.' in text else text}Z"


def whole(value: float) -> float:
    """An integer where it is one: only so is a zero left out of the JSON, and 50 not written as 50.0."""
    return int(value) if value == int(value) else value


def as_utc(moment: datetime) -> datetime:
    """The same moment, told in UTC."""
    return moment.astimezone(UTC)
