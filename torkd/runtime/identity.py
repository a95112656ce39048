"""Who scripts run as, and whose their files are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_UNCHANGED = -1
"""What chown takes for an id to be left."""


@dataclass(frozen=True)
class Identity:
    """The user and group a script runs as; None leaves the daemon's."""

    uid: int | None
    gid: int | None

    @property
    def is_switch(self) -> bool:
        """Whether anything changes at all."""
        return self.uid is not None or self.gid is not None

    def give(self, path: Path | str) -> None:
        """Make it the owner of a file or directory."""
        if self.is_switch:
            os.chown(path, _UNCHANGED if self.uid is None else self.uid, _UNCHANGED if self.gid is None else self.gid)

    def owns(self, status: os.stat_result) -> bool:
        """Whether a file with this status is the script's own."""
        return status.st_uid == (os.geteuid() if self.uid is None else self.uid)
