"""The banner a daemon shows when it starts: decoration, so only people at a terminal see it."""

from __future__ import annotations

import logging
from typing import TextIO

_LOGGER = logging.getLogger(__name__)
_ART = r"""
  _             _       _
 | |_ ___  _ __| | ____| |
 | __/ _ \| '__| |/ / _` |
 | || (_) | |  |   < (_| |
  \__\___/|_|  |_|\_\__,_|   {version}
"""


def show_banner(mode: str, *, version: str, stdout: TextIO, stderr: TextIO) -> None:
    """Shows the banner as `cli.banner.mode` says: `off`, `console` (stdout), anything else through the logger.

    Nothing is shown where the stream that would carry it is no terminal: pipes and log collectors stay clean.
    """
    if mode == "off":
        return
    if mode == "console":
        if stdout.isatty():
            stdout.write(_ART.format(version=version) + "\n")
            stdout.flush()
    elif stderr.isatty():
        _LOGGER.info("torkd %s", version)
