"""What becomes of a file that was submitted."""

from __future__ import annotations

from enum import StrEnum


class After(StrEnum):
    """The values of --after."""

    KEEP = "keep"
    MOVE = "move"
    DELETE = "delete"
