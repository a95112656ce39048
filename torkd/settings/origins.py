"""Where a value came from, and how a value is shown to people without its secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torkd.settings.kinds import Secret

MASK = "*****"
_MAX_SHOWN = 100
_URL_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):.*@", re.DOTALL)
# up to the last @: hiding too much is right where a password was not percent-encoded
_NAMED_PASSWORD = re.compile(r"(passw(?:or)?d\s*=\s*)(?:'(?:\\.|[^'\\])*'?|(?:\\.|\S)*)", re.IGNORECASE | re.DOTALL)
_SECRET_NAME = re.compile(r"password|passwd|secret|token|key|credential", re.IGNORECASE)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_NOT_IN_TEXT = {code: f"\\u{code:04x}" for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)}


@dataclass(frozen=True, slots=True)
class Origin:
    """The place that gave a value. `place` is a file with its line, a variable, a key that a program gave, or a word on the default."""

    kind: Literal["default", "file", "environment", "program"]
    place: str = ""

    def __str__(self) -> str:
        match self.kind:
            case "default":
                return f"default ({self.place})" if self.place else "default"
            case "file":
                return self.place
            case "environment":
                return f"environment variable {self.place}"
            case "program":
                return f"settings[{self.place!r}]"


@dataclass(frozen=True, slots=True)
class Raw:
    """A value as it was written, before its kind has read it."""

    value: object
    origin: Origin


def mask(value: Any, secret: Secret | None) -> Any:
    """The value with what must not be shown replaced."""
    if secret is not None and isinstance(value, list):
        return [mask(entry, secret) for entry in value]
    if secret is None or not isinstance(value, str):
        return value
    if secret is Secret.WHOLE:
        return MASK
    return _mask_passwords(value)


def mask_custom(value: Any, name: str = "") -> Any:
    """A raw value of a custom section, masked by name and by look: nobody has said what in it is secret."""
    if isinstance(value, Mapping):
        return {key: mask_custom(entry, str(key)) for key, entry in value.items()}
    if _SECRET_NAME.search(name):
        return MASK
    if isinstance(value, list):
        return [mask_custom(entry) for entry in value]
    return _mask_passwords(value) if isinstance(value, str) else value


def shown(value: object, secret: Secret | None) -> str:
    """A raw value for an error message: on one line, and not too long.

    A wrong value has no dependable parts, so of one that may hold a secret only the end of a URL is shown.
    """
    if secret is Secret.URL and isinstance(value, str):
        value = _after_credentials(value)
    elif secret:
        return MASK
    if isinstance(value, str):
        return quote(_shortened(value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "an array"
    if isinstance(value, int) and value.bit_length() > 256:
        return "a huge number"
    return _shortened(str(value))


def toml(value: Any) -> str:
    """A value in TOML syntax, on one line."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return quote(value)
        case Mapping():
            return (
                "{ " + ", ".join(f"{bare_or_quoted(str(k))} = {toml(v)}" for k, v in value.items()) + " }"
                if value
                else "{}"
            )
        case list():
            return "[" + ", ".join(toml(entry) for entry in value) + "]"
        case int() if value.bit_length() > 10_000:
            return hex(value)  # Python refuses to write so many decimal digits
        case _:
            return str(value)  # numbers and dates are written in TOML as Python prints them


def bare_or_quoted(name: str) -> str:
    """A key's segment in TOML syntax."""
    return name if _BARE_KEY.fullmatch(name) else quote(name)


def quote(text: str) -> str:
    """A text as a TOML basic string on one line."""
    return json.dumps(_without_surrogates(text), ensure_ascii=False).translate(_NOT_IN_TEXT)


def one_line(text: str) -> str:
    """A text without line breaks and other control characters, for a message or a comment."""
    return _without_surrogates(text).translate(_NOT_IN_TEXT)


def _without_surrogates(text: str) -> str:
    """A text that can be printed: bytes that were not UTF-8 arrive from the environment as lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _mask_passwords(text: str) -> str:
    hidden = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    return _NAMED_PASSWORD.sub(rf"\1{MASK}", hidden)


def _after_credentials(url: str) -> str:
    _, at, end = url.rpartition("@")
    return f"{MASK}@{end}" if at else url


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
