"""What surrounds logs on a build server: a group on GitHub, in which nothing is obeyed, and a section on GitLab."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torkctl.error_line import error_line
from torkctl.pipeline.surroundings import Server
from torkctl.workflow_commands import command

_LONGEST_TITLE = 120
_NAME = re.compile(r"[^a-zA-Z0-9_.-]")

Write = Callable[[str], None]


@contextmanager
def section(server: Server, write: Write, title: str, *, name: str) -> Iterator[None]:
    """Whatever is written inside can be folded, and on GitHub commands in it are only text."""
    begin, end = _markers(server, error_line(title, _LONGEST_TITLE), _NAME.sub("_", name))
    if begin:
        write(begin)
    try:
        yield
    finally:
        if end:
            write(end())


def _markers(server: Server, title: str, name: str) -> tuple[str, Callable[[], str] | None]:
    match server:
        case Server.GITHUB:
            # What was printed before does not know it, so it can't bring commands back.
            token = secrets.token_hex(16)
            begin = command("group", title) + command("stop-commands", token)
            return begin, lambda: command(token) + command("endgroup")
        case Server.GITLAB:
            begin = f"\x1b[0Ksection_start:{int(time.time())}:{name}\r\x1b[0K{title}\n"
            return begin, lambda: f"\x1b[0Ksection_end:{int(time.time())}:{name}\r\x1b[0K\n"
        case Server.NONE:
            return "", None
