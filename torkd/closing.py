"""Ending what was started, all of it, whatever fails on the way."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tork.errors import TorkError

log = logging.getLogger(__name__)


def close_all(*closers: Callable[[], object]) -> None:
    """Call each in turn. One that fails is logged and keeps no other from its turn."""
    for close in closers:
        try:
            close()
        except TorkError as error:
            log.warning("while stopping: %s", error)
