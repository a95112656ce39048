"""Settings of every process: banner, logging, data directory, and the daemon to ask for its health."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from torkd.settings.addresses import url_check
from torkd.settings.kinds import FilePath, Secret, Text
from torkd.settings.sections.section import Section


class Cli(Section, frozen=True, kw_only=True):
    """`[cli]`"""

    banner_mode: Annotated[
        str, Text(key="banner.mode", means="where the banner goes: off, console (stdout), anything else: the log")
    ] = "console"


class Client(Section, frozen=True, kw_only=True):
    """`[client]`"""

    endpoint: Annotated[
        str, Text(means="the daemon that `torkd health` asks", secret=Secret.URL, check=url_check("http", "https"))
    ] = "http://localhost:8000"


class Logging(Section, frozen=True, kw_only=True):
    """`[logging]`"""

    level: Annotated[
        str,
        Text(
            means="the least level that is logged, to stderr",
            choices=("debug", "info", "warn", "warning", "error"),
            wrong="invalid logging level",
        ),
    ] = "debug"
    format: Annotated[
        str,
        Text(
            means="pretty for people, json for machines (one object a line)",
            choices=("pretty", "json"),
            wrong="invalid logging format",
        ),
    ] = "pretty"


class Data(Section, frozen=True, kw_only=True):
    """`[data]`"""

    dir: Annotated[Path, FilePath(means="the embedded database, node ids and work directories")] = Path("/var/lib/tork")
