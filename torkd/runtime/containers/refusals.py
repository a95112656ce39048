"""An engine's refusal to make or start a container, in words that say what to change in the job file."""

from __future__ import annotations

import re

from torkd.runtime.containers.engine import EngineError

_NO_COMMAND = re.compile("no command specified|no command or entrypoint provided", re.IGNORECASE)
_NO_PROGRAM = re.compile(
    # runc: exec: "x": executable file not found in $PATH, or exec: "/x": stat /x: no such file or directory
    r'exec: "(?P<runc>[^"]+)": (?:executable file not found|stat \S+: no such file or directory)'
    # crun: executable file `x` not found in $PATH
    r"|executable file `(?P<crun>[^`]+)` not found"
)
_OF_THE_ENGINE = frozenset({"docker-init", "tini"})
NO_SHELL = "the image has no sh to run a script (right would be an image that has one, or cmd or entrypoint)"


def in_plain_words(error: EngineError) -> EngineError:
    """The error that a job's author can act on; others as they are."""
    text = str(error)
    if _NO_COMMAND.search(text):
        return EngineError("the image says no command (right would be run, cmd or entrypoint)")
    found = _NO_PROGRAM.search(text)
    name = (found["runc"] or found["crun"]) if found else ""
    if not name or name in _OF_THE_ENGINE:
        return error
    if name == "sh":
        return EngineError(NO_SHELL)
    return EngineError(f"the image has no program '{name}' (right would be an entrypoint or cmd that it has)")
