"""The commands that a runner of GitHub Actions reads out of everything a step prints, and how what jobs print is kept from being one.

A runner obeys a line that begins with `::`, after blanks, and `##[` anywhere in a line; a line ends with CR as well as LF.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_AT_LINE_START = re.compile(r"(^|\r)([^\S\r\n]*)::", re.MULTILINE)
_ANYWHERE = "##["


def is_obeyed(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a runner reads along."""
    return environ.get("GITHUB_ACTIONS") == "true"


def defused(text: str) -> str:
    """The text, which begins at a line's start, with a blank in whatever a runner would take for a command."""
    if "::" in text:
        text = _AT_LINE_START.sub(r"\1\2: :", text)
    return text.replace(_ANYWHERE, "## [") if _ANYWHERE in text else text


def defused_json(text: str) -> str:
    """JSON that means the same and has no command in it; only texts in it can have one."""
    return text.replace(_ANYWHERE, "#\\u0023[")


def command(name: str, message: str = "", **properties: str) -> str:
    """One command, as a line."""
    given = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value)
    return f"::{name}{' ' if given else ''}{given}::{_data(message)}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
