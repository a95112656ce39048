"""Removing what a container may still hold for a moment: an engine lets go of volumes and networks a little after its answer.

Clean-up never fails a task: what stays carries the run's labels, and the reaper finds it by them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from torkd.runtime.containers.engine import EngineError

TRIES = 5
FIRST_PAUSE_SECONDS = 0.2
"""Each further pause is twice as long."""
LIMIT_SECONDS = 10.0
"""No further try after this time."""

_LOG = logging.getLogger(__name__)


def remove_patiently(
    what: str,
    remove: Callable[[], None],
    *,
    pause: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Whether it is gone; `what` names it in the log. Goes on when the run is stopped: then, too, nothing may be left."""
    give_up_at = clock() + LIMIT_SECONDS
    pause_seconds = FIRST_PAUSE_SECONDS
    for tries_left in reversed(range(TRIES)):
        try:
            remove()
            return True
        except EngineError as error:
            if not tries_left or clock() + pause_seconds >= give_up_at:
                _LOG.warning("%s could not be removed and is left to the reaper: %s", what, error)
                return False
        pause(pause_seconds)
        pause_seconds *= 2
    return False
