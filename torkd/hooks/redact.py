"""Hides secrets in what is shown: in answers of the API as serialised, and in texts such as logs.

Two rules. A key that sounds secret loses its value, and what `secrets`, `registry.password` and headers for credentials hold is
always hidden. And wherever one of the job's secrets occurs in a text, `[REDACTED]` stands instead (`secret_texts`). Values shorter
than `MIN_SECRET_LENGTH` are only hidden by key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate
from typing import Any

from tork.job import JobState
from tork.task import TaskState
from torkd.hooks.secret_texts import MIN_SECRET_LENGTH, REDACTED, SecretTexts, secret_texts

__all__ = ["MIN_SECRET_LENGTH", "REDACTED", "Redactor", "redact_text"]

_BUILT_IN_KEYS = re.compile("SECRET|PASSWORD|ACCESS_KEY", re.IGNORECASE)
_CREDENTIAL_HEADERS = re.compile("AUTH|COOKIE|TOKEN|SECRET|PASSWORD|KEY|SIGNATURE", re.IGNORECASE)
_USERS_MAPS = frozenset({"inputs", "env", "files", "headers", "opts", "tasks"})
"""The keys in these are the user's, whatever they are called. (`tasks` is an object in a context alone.)"""
_STATE_WORDS = frozenset({*TaskState, *JobState})
_ID_KEYS = frozenset({"id", "jobId", "taskId", "parentId", "nodeId", "run"})
_ID = re.compile(r"[0-9a-f]{32}|[0-9A-Za-z]{22}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)", re.ASCII)
"""Ids, states and times are made by us. A part of one that happens to look like a secret (`2026`) is not replaced."""


def redact_text(text: str, secrets: Iterable[str]) -> str:
    """The text without the values of the secrets."""
    return secret_texts(secrets).hide(text)


class Redactor:
    """Hides secrets in JSON documents. `key_patterns` are wildcard patterns that replace the built-in ones."""

    def __init__(self, key_patterns: Sequence[str] = (), *, enabled: bool = True) -> None:
        self._enabled = enabled
        self._keys = re.compile("|".join(map(translate, key_patterns))) if key_patterns else None

    def redact(self, document: Any, secrets: Iterable[str] = ()) -> Any:
        """A copy of the document (dicts, lists and scalars, as before encoding) that may be shown."""
        if not self._enabled:
            return document
        return self._redact(document, secret_texts(secrets))

    def redact_text(self, text: str, secrets: Iterable[str]) -> str:
        """The text without the values of the secrets."""
        return redact_text(text, secrets) if self._enabled else text

    def hide(self, value: Any) -> Any:
        """A value nothing of which may be shown; empty ones stay."""
        return _hide(value) if self._enabled else value

    def _redact(self, value: Any, secrets: SecretTexts, *, ours: bool = True) -> Any:
        """`ours`: whether keys have the meaning that they have in our documents."""
        match value:
            case str():
                return secrets.hide(value)
            case dict():
                return {
                    secrets.hide(key) if isinstance(key, str) else key: self._redact_under(
                        key, inner, secrets, ours=ours
                    )
                    for key, inner in value.items()
                }
            case list() | tuple():
                return [self._redact(inner, secrets, ours=ours) for inner in value]
            case _:
                return value

    def _redact_under(self, key: Any, value: Any, secrets: SecretTexts, *, ours: bool) -> Any:
        if not isinstance(key, str):
            return self._redact(value, secrets, ours=ours)
        if key == "secrets" or self._sounds_secret(key):
            return _hide(value)
        if isinstance(value, str):
            if ours and secrets and _is_ours(key, value):
                return REDACTED if value in secrets and value not in _STATE_WORDS else value
            return secrets.hide(value)
        if isinstance(value, dict):
            if key == "registry" and "password" in value:
                value = {**value, "password": _hide(value["password"])}
            elif key == "headers":
                value = {
                    name: _hide(inner) if _CREDENTIAL_HEADERS.search(name) else inner for name, inner in value.items()
                }
            return self._redact(value, secrets, ours=ours and key not in _USERS_MAPS)
        return self._redact(value, secrets, ours=ours)

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


def _is_ours(key: str, value: str) -> bool:
    if key in _ID_KEYS:
        return _ID.fullmatch(value) is not None
    if key == "state":
        return value in _STATE_WORDS
    return key.endswith("At") and _TIME.fullmatch(value) is not None
