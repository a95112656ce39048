"""The port to mounters: what an operator registers to give tasks more types of mounts than volume, bind and tmpfs.

A mounter is the operator's own code, so the list of allowed bind sources does not apply to what it gives.
"""

from __future__ import annotations

import logging
from typing import Protocol

from tork.errors import RuntimeFailure
from tork.task import Mount
from torkd.runtime.protocol import TaskRun

BUILT_IN_TYPES = ("volume", "bind", "tmpfs")

_LOG = logging.getLogger(__name__)


class Mounter(Protocol):
    """Turns mounts of one type into one of the built-in ones. May be called from several threads at once."""

    def mount(self, mount: Mount, run: TaskRun) -> Mount:
        """Make ready what the task asks for, and say how to mount it: `volume`, `bind` or `tmpfs`.

        A volume with a source is one that the mounter made and keeps; one without is made for the run with `opts` as driver
        options. Whatever it raises fails the task and must leave nothing behind. A worker that restarted and found the run's
        container still running calls it again for the same `run_id`: the answer must be the same.
        """

    def unmount(self, mounted: Mount, run: TaskRun) -> None:
        """Undo what `mount` did; gets what it returned. Called once all containers of the run are gone."""


def mount_with(mounter: Mounter, mount: Mount, run: TaskRun) -> Mount:
    """What the mounter makes of it. Raises `RuntimeFailure` in one sentence, whatever went wrong."""
    try:
        return mounter.mount(mount, run)
    except RuntimeFailure as error:
        raise RuntimeFailure(f"mount of type {mount.type} failed: {_sentence(error)}") from error
    except Exception as error:
        _LOG.exception("the mounter of type %s failed for run %s", mount.type, run.run_id)
        raise RuntimeFailure(f"mount of type {mount.type} failed: {_sentence(error)}") from error


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
