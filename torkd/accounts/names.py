"""What accounts, roles and keys may be called."""

from __future__ import annotations

import re

from tork.errors import StateConflict

LONGEST_NAME = 100
_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_RESERVED = frozenset({"me"})


def check_username(username: str) -> None:
    """Raises `StateConflict`. A colon would end the name in basic authentication."""
    if len(username) > LONGEST_NAME:
        raise StateConflict(f"the username is too long (right would be at most {LONGEST_NAME} characters)")
    if ":" in username or not username.isprintable() or "/" in username:
        raise StateConflict("the username has ':', '/' or signs that can't be printed (right would be such as ada)")
    if username in _RESERVED:
        raise StateConflict(f"'{username}' can't be a username: in paths it is whoever asks")
    if _ID.fullmatch(username):
        raise StateConflict(
            f"'{username}' can't be a username: it could be the id of an account (right would be such as ada)"
        )


def check_slug(slug: str, noun: str) -> None:
    """Raises `StateConflict`."""
    if not _SLUG.fullmatch(slug):
        raise StateConflict(
            f"'{slug[:LONGEST_NAME]}' can't be {noun} (right would be small letters, digits and - . _, such as night-shift)"
        )
