"""Which names in the folder are job files, and the names of what is written beside them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase

DEFAULT_PATTERNS = ("*.yaml", "*.yml", "*.json")
OWN_FOLDER = ".torkctl"
SUBMITTED_FOLDER = "submitted"
ERROR_SUFFIX = ".error"
RESULT_SUFFIX = ".result.json"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is picked up. Names are paths relative to the folder, with `/` between their parts."""

    patterns: tuple[str, ...] = ()
    """Those given; none is the default, which small and capital letters make no difference to."""

    recursive: bool = False

    def takes(self, name: str) -> bool:
        """Whether a file of that name is a job file."""
        folder, _, last = name.rpartition("/")
        if (folder and not self.enters(folder)) or last.startswith(".") or last.endswith("~"):
            return False
        if last.endswith((ERROR_SUFFIX, RESULT_SUFFIX)):
            return False
        if not self.patterns:
            return any(fnmatchcase(last.lower(), pattern) for pattern in DEFAULT_PATTERNS)
        return any(fnmatchcase(name if "/" in pattern else last, pattern) for pattern in self.patterns)

    def enters(self, folder: str) -> bool:
        """Whether files in that folder are looked at."""
        parts = folder.split("/")
        return self.recursive and parts[0] != SUBMITTED_FOLDER and not any(part.startswith(".") for part in parts)


def shown(name: str) -> str:
    """The name as people and documents read it: bytes that are no text, and what no one can see, as question marks."""
    text = os.fsencode(name).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
