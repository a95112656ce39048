"""The time zone of this machine by its name, as the operating system tells it: what schedules get that name none.

The name is stored with a schedule, so that coordinators in other zones fire at the same moments.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tork.definition import CronError
from tork.fire_times import load_zone

_MARK = "zoneinfo/"
_LINK = Path("/etc/localtime")
_NAME = Path("/etc/timezone")


def local_zone(environ: Mapping[str, str] = os.environ, *, link: Path = _LINK, name_file: Path = _NAME) -> str:
    """The name, such as Europe/Berlin: by TZ, by where the link leads, or from Debian's file. UTC where none of them says one."""
    given = environ.get("TZ", "").removeprefix(":")
    for name in (given.partition(_MARK)[2] or given, _of_link(link), _of_file(name_file)):
        if name and _is_known(name):
            return name
    return "UTC"


def _of_link(link: Path) -> str:
    try:
        target = str(link.readlink())
    except OSError:
        return ""
    return target.partition(_MARK)[2].removeprefix("posix/")


def _of_file(name_file: Path) -> str:
    try:
        return name_file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def _is_known(name: str) -> bool:
    try:
        load_zone(name)
    except CronError:
        return False
    return True
