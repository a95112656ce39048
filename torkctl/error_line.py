"""An error in one line of a terminal: what happened, and the last words, which are those that tell why.

Nothing in it is obeyed by a terminal: errors come from jobs, and may have been written to fool a reader.
"""

from __future__ import annotations

_BETWEEN_LINES = " | "
_LEFT_OUT = " … "


def error_line(text: str, longest: int) -> str:
    """At most `longest` characters. Lines are told apart; of a longer text the middle is left out."""
    lines = (_printable(line) for line in text.splitlines())
    line = _BETWEEN_LINES.join(part for part in lines if part).replace(f":{_BETWEEN_LINES}", ": ")
    if len(line) <= longest:
        return line
    head = longest // 3
    return line[:head].rstrip() + _LEFT_OUT + line[len(line) - (longest - head - len(_LEFT_OUT)) :].lstrip()


def _printable(line: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in line).split())
