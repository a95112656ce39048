"""Hides secrets in what is shown: in answers of the API as serialised, and in texts such as logs.

Two rules. A key that sounds secret loses its value, and what `secrets` and `registry.password` hold is always hidden. And
wherever the value of one of the job's secrets occurs in a text, `[REDACTED]` stands instead. Values shorter than
`MIN_SECRET_LENGTH` are only hidden by key: replaced everywhere they would garble the text and, by that, give themselves away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Any

from tork.job import JobState
from tork.task import TaskState

REDACTED = "[REDACTED]"
MIN_SECRET_LENGTH = 4
_MIN_LINE_LENGTH = 8
"""Lines of a secret of several lines, such as a private key, are hidden one by one too when they have this length."""

_BUILT_IN_KEYS = re.compile("SECRET|PASSWORD|ACCESS_KEY", re.IGNORECASE)
_STATE_WORDS = frozenset({*TaskState, *JobState})
_MACHINE_KEYS = frozenset({"id", "jobId", "taskId", "parentId", "nodeId", "run", "state"})
_MACHINE_VALUE = re.compile(r"[0-9A-Za-z-]{1,40}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)", re.ASCII)
"""Ids, states and times are made by us. A part of one that happens to look like a secret (`2026`) is not replaced."""


def secret_values(values: Iterable[str]) -> tuple[str, ...]:
    """The texts to look for, the longest first."""
    found: set[str] = set()
    for value in values:
        text = value.strip()
        if len(text) >= MIN_SECRET_LENGTH:
            found.add(text)
            found.update(line.strip() for line in text.splitlines() if len(line.strip()) >= _MIN_LINE_LENGTH)
    return tuple(sorted(found, key=lambda text: (-len(text), text)))


@lru_cache(maxsize=256)
def secret_pattern(texts: tuple[str, ...]) -> re.Pattern[str] | None:
    """A pattern that matches any of the texts, which come from `secret_values`."""
    return re.compile("|".join(map(re.escape, texts))) if texts else None


def redact_text(text: str, secrets: Iterable[str]) -> str:
    """The text without the values of the secrets."""
    pattern = secret_pattern(secret_values(secrets))
    return pattern.sub(REDACTED, text) if pattern else text


class Redactor:
    """Hides secrets in JSON documents. `key_patterns` are wildcard patterns that replace the built-in ones."""

    def __init__(self, key_patterns: Sequence[str] = (), *, enabled: bool = True) -> None:
        self._enabled = enabled
        self._keys = re.compile("|".join(map(translate, key_patterns))) if key_patterns else None

    def redact(self, document: Any, secrets: Iterable[str] = ()) -> Any:
        """A copy of the document (dicts, lists and scalars, as before encoding) that may be shown."""
        if not self._enabled:
            return document
        return self._redact(document, secret_pattern(secret_values(secrets)))

    def redact_text(self, text: str, secrets: Iterable[str]) -> str:
        """The text without the values of the secrets."""
        return redact_text(text, secrets) if self._enabled else text

    def hide(self, value: Any) -> Any:
        """A value nothing of which may be shown; empty ones stay."""
        return _hide(value) if self._enabled else value

    def _redact(self, value: Any, secrets: re.Pattern[str] | None) -> Any:
        match value:
            case str():
                return secrets.sub(REDACTED, value) if secrets else value
            case dict():
                return {
                    self._redact(key, secrets): self._redact_under(key, inner, secrets) for key, inner in value.items()
                }
            case list() | tuple():
                return [self._redact(inner, secrets) for inner in value]
            case _:
                return value

    def _redact_under(self, key: Any, value: Any, secrets: re.Pattern[str] | None) -> Any:
        if key == "secrets" or (isinstance(key, str) and self._sounds_secret(key)):
            return _hide(value)
        if key == "registry" and isinstance(value, dict) and "password" in value:
            value = {**value, "password": _hide(value["password"])}
        if isinstance(value, str) and _is_ours(key, value):
            hidden = secrets is not None and secrets.fullmatch(value) and value not in _STATE_WORDS
            return REDACTED if hidden else value
        return self._redact(value, secrets)

    def _sounds_secret(self, key: str) -> bool:
        if self._keys is not None:
            return self._keys.match(key) is not None
        return _BUILT_IN_KEYS.search(key) is not None


def _hide(value: Any) -> Any:
    match value:
        case dict():
            return {key: _hide(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_hide(inner) for inner in value]
        case None | "":
            return value
        case _:
            return REDACTED


def _is_ours(key: Any, value: str) -> bool:
    if key in _MACHINE_KEYS:
        return _MACHINE_VALUE.fullmatch(value) is not None
    return isinstance(key, str) and key.endswith("At") and _TIME.fullmatch(value) is not None
