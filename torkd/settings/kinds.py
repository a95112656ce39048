"""The kinds of values a setting can have: how each is read from TOML or text, written back, and named in the docs.

Invariant: `kind.read(kind.write(value)) == value` for every value that `read` can give. `read` raises `ValueError`
with the reason and what would be right; who calls it adds the place, the key and the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from tork.durations import format_nanoseconds, parse_nanoseconds
from tork.errors import DurationError
from torkd.settings.sizes import format_size, parse_size

Plain: TypeAlias = "str | int | bool | list[str] | dict[str, int]"

_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_MAX_INTEGER = 2**63 - 1
TRUE_TEXTS = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
NEVER = timedelta.max
"""The length of a duration that was written as `never`; longer than any other. Compare with it, don't add to it."""
_NEVER_TEXT = "never"


class Secret(Enum):
    """Which part of a value must never be shown."""

    WHOLE = "whole"
    URL = "the password of a URL"
    DSN = "the password of a connection string"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One setting's kind and its words. The subclasses say which texts and TOML values they take."""

    means: str
    # what the setting is for, in a phrase
    key: str = ""
    # the key within its table, where that is not the attribute's name
    default_text: str = ""
    # the default in words, where it depends on the machine or on another setting
    secret: Secret | None = None
    # what to hide when the value is shown

    name: ClassVar[str]

    def read(self, raw: object) -> Any:
        raise NotImplementedError

    def write(self, value: Any) -> Plain:
        """The value as a plain TOML value."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Flag(Kind):
    """A boolean: of TOML, or one of the texts Go's `strconv.ParseBool` takes."""

    name = "bool"

    def read(self, raw: object) -> bool:
        if isinstance(raw, bool):
            return raw
        if isinstance(raw, str) and raw in TRUE_TEXTS | _FALSE:
            return raw in TRUE_TEXTS
        raise ValueError("not a boolean (right would be true or false)")

    def write(self, value: bool) -> Plain:
        return value


@dataclass(frozen=True, kw_only=True)
class Number(Kind):
    """A whole number within bounds."""

    name = "int"
    least: int = 0
    most: int = _MAX_INTEGER
    raised: bool = False
    # a smaller number counts as the least one instead of being refused

    def read(self, raw: object) -> int:
        number = _whole_number(raw)
        if number is not None and self.raised:
            number = max(number, self.least)
        if number is None or not self.least <= number <= self.most:
            bounds = f"from {self.least}" + (f" to {self.most}" if self.most != _MAX_INTEGER else "")
            raise ValueError(f"not usable (right would be a whole number {bounds})")
        return number

    def write(self, value: int) -> Plain:
        return value


_DAYS = re.compile(r"([0-9]{1,6})d")


@dataclass(frozen=True, kw_only=True)
class Duration(Kind):
    """A length of time as Go writes it; a plain number is nanoseconds. Kept to the microsecond."""

    name = "duration"
    least: timedelta = timedelta()
    may_be_never: bool = False
    # whether the word `never` is taken, too

    def read(self, raw: object) -> timedelta:
        if self.may_be_never and raw == _NEVER_TEXT:
            return NEVER
        nanoseconds = _nanoseconds(raw)
        if nanoseconds is None:
            right = "'30s', '1h30m', or 'never'" if self.may_be_never else "'30s', '5m' or '1h30m'"
            if isinstance(raw, str) and (days := _DAYS.fullmatch(raw)):
                right = f"'{int(days[1]) * 24}h': there is no unit for days"
            raise ValueError(f"not a duration (right would be such as {right})")
        length = timedelta(microseconds=nanoseconds // 1000)
        if length < self.least:
            raise ValueError(f"too short (right would be at least {short_duration(self.least)})")
        return length

    def write(self, value: timedelta) -> Plain:
        return _NEVER_TEXT if value == NEVER else short_duration(value)


@dataclass(frozen=True, kw_only=True)
class Size(Kind):
    """A number of bytes."""

    name = "size"
    least: int = 1

    def read(self, raw: object) -> int:
        number = _whole_number(raw)
        if number is None:
            number = parse_size(raw if isinstance(raw, str) else "")
        if number < self.least:
            raise ValueError(f"too small (right would be at least {self.least} bytes)")
        return number

    def write(self, value: int) -> Plain:
        return format_size(value)


@dataclass(frozen=True, kw_only=True)
class Text(Kind):
    """A text; a number written without quotes is taken as its text."""

    name = "string"
    choices: tuple[str, ...] = ()
    wrong: str = ""
    # how the refusal of anything but the choices begins: `invalid logging level`
    check: Callable[[str], None] | None = None

    def read(self, raw: object) -> str:
        text = _plain_text(raw)
        if self.choices and text not in self.choices:
            raise ValueError(refuse_choice(self.wrong, text, self.choices))
        if self.check:
            self.check(text)
        return text

    def write(self, value: str) -> Plain:
        return value


@dataclass(frozen=True, kw_only=True)
class FilePath(Kind):
    """A path; a leading `~` means the home directory, and whoever loads the settings expands it."""

    name = "path"

    def read(self, raw: object) -> Path:
        return Path(_plain_text(raw))

    def write(self, value: Path) -> Plain:
        return str(value)


@dataclass(frozen=True, kw_only=True)
class Texts(Kind):
    """A list of texts: an array, or one text split at its commas (spaces are kept)."""

    name = "list"
    least: int = 0
    # how many entries there must be
    check: Callable[[str], None] | None = None

    def read(self, raw: object) -> tuple[str, ...]:
        if isinstance(raw, str):
            entries: tuple[object, ...] = tuple(raw.split(",")) if raw else ()
        elif isinstance(raw, list):
            entries = tuple(raw)
        else:
            raise ValueError("not a list (right would be an array of texts, or one text with commas)")
        texts = tuple(_plain_text(entry) for entry in entries)
        if len(texts) < self.least:
            raise ValueError(f"too few entries (right would be at least {self.least})")
        for text in texts:
            if self.check:
                self.check(text)
        return texts

    def write(self, value: tuple[str, ...]) -> Plain:
        return list(value)


@dataclass(frozen=True, kw_only=True)
class Numbers(Kind):
    """A table of names and whole numbers; each entry is read alone, so that file and environment can add to it."""

    name = "table of int"
    least: int = 0
    most: int = _MAX_INTEGER

    def read(self, raw: object) -> Mapping[str, int]:
        if not isinstance(raw, dict):
            raise ValueError("not a table (right would be a table of names and whole numbers)")
        return {str(name): self.entry.read(value) for name, value in raw.items()}

    def write(self, value: Mapping[str, int]) -> Plain:
        return dict(value)

    @property
    def entry(self) -> Number:
        """The kind of one entry."""
        return Number(means=self.means, least=self.least, most=self.most)


def short_duration(length: timedelta) -> str:
    """`168h` rather than Go's `168h0m0s`."""
    text = format_nanoseconds(length // timedelta(microseconds=1) * 1000)
    if text.endswith("m0s"):
        text = text.removesuffix("0s")
    if text.endswith("h0m"):
        text = text.removesuffix("0m")
    return text


def refuse_choice(wrong: str, text: str, choices: tuple[str, ...]) -> str:
    """The refusal of a text that is not among the choices."""
    shown = text if len(text) <= 100 else f"{text[:100]}…"
    *others, last = choices
    right = f"{', '.join(others)} or {last}" if others else last
    return f"{wrong}: {shown} (right would be {right})"


def is_plain_number(raw: object) -> bool:
    """Whether a duration was given as a bare number, and so in nanoseconds."""
    return bool(_whole_number(raw))


def _whole_number(raw: object) -> int | None:
    if isinstance(raw, str):
        number = int(raw) if _WHOLE_NUMBER.fullmatch(raw) else None
    else:
        number = raw if isinstance(raw, int) and not isinstance(raw, bool) else None
    return number if number is not None and abs(number) <= _MAX_INTEGER else None


def _nanoseconds(raw: object) -> int | None:
    number = _whole_number(raw)
    if number is not None or not isinstance(raw, str):
        return number
    try:
        return parse_nanoseconds(raw)
    except DurationError:
        return None


def _plain_text(raw: object) -> str:
    if isinstance(raw, float) or _whole_number(raw) is not None:
        return str(raw)
    if not isinstance(raw, str):
        raise ValueError("not a text (right would be a text in quotes)")
    if "\0" in raw or any("\ud800" <= character <= "\udfff" for character in raw):
        raise ValueError("not readable (right would be UTF-8 text without NUL characters)")
    return raw
