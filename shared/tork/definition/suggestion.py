"""What the writer of an unknown key may have meant: a near spelling, another tool's word, or a key of elsewhere."""

from __future__ import annotations

import difflib
from collections.abc import Collection

_OTHER_WORDS = {
    "args": "cmd",
    "command": "cmd",
    "condition": "if",
    "cpu": "cpus",
    "cron": "schedule",
    "environment": "env",
    "foreach": "each",
    "items": "list",
    "mem": "memory",
    "retries": "retry",
    "script": "run",
    "steps": "tasks",
    "variables": "inputs",
    "vars": "inputs",
    "volumes": "mounts",
    "when": "if",
}
"""Words that people bring from other tools, in lower case."""

_ELSEWHERE = {
    "cpus": "under limits",
    "cron": "under schedule",
    "memory": "under limits",
    "probe": "under sidecars[]",
    "schedule": "at the top of a scheduled job's file",
    "inputs": "at the top of the file or a subjob",
    "secrets": "at the top of the file or a subjob",
    "output": "at the top of the file or a subjob",
    "defaults": "at the top of the file",
    "permissions": "at the top of the file",
    "wait": "at the top of the file",
}
"""Keys that are real, by where they belong."""


def meant(key: str, known: Collection[str]) -> str:
    """The known key that was probably meant, or an empty text."""
    plain = key.lower().replace("_", "").replace("-", "").replace(" ", "")
    by_plain = {name.lower(): name for name in known}
    if plain in by_plain:
        return by_plain[plain]
    words = by_plain | {word: name for word, name in _OTHER_WORDS.items() if name in known}
    if plain in words or key in _ELSEWHERE:
        return words.get(plain, "")
    near = difflib.get_close_matches(plain[:40], words, n=1, cutoff=0.7)
    return words[near[0]] if near else ""


def advice(key: str, known: Collection[str]) -> str:
    """The end of the sentence about an unknown key: did-you-mean, where it belongs, or all that is known."""
    if suggestion := meant(key, known):
        return f" — did you mean '{suggestion}'?"
    if place := _ELSEWHERE.get(key):
        return f" (right would be {place})"
    return f" (right would be one of: {', '.join(sorted(known))})"
