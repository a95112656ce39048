"""The error of a step that failed, the same for every runtime."""

from __future__ import annotations

from collections.abc import Sequence

ERROR_LINES = 10


def failure_text(code: int, title: str, tail: bytes, notes: Sequence[str] = ()) -> str:
    """`exit code N: <last 10 log lines>`; `title` names a step that is not the main one, `notes` say what is known beyond."""
    text = f"exit code {code}"
    if title:
        text += f" ({title})"
    details = [*notes, *tail.decode("utf-8", "replace").rstrip().splitlines()[-ERROR_LINES:]]
    return f"{text}: " + "\n".join(details) if details else text


def step_title(kind: str, name: str) -> str:
    """How errors call a step before or after the main one."""
    return f"{kind} step '{name}'" if name else f"{kind} step"
