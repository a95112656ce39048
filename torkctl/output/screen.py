"""Redrawing in place on a terminal, without flicker: lines are written over the ones before, in one write.

Invariant: nothing has to be put back at the end. Whenever it is interrupted, the last drawing stays and the prompt comes under it.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from torkctl.output import stdout

_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_END_OF_LINE, _END_OF_SCREEN = "\x1b[K", "\x1b[J"
_CLEAR = "\x1b[2J\x1b[H"


class Painter:
    """Draws on stdout, which is a terminal."""

    def __init__(self) -> None:
        self._drawn = 0
        self._size = shutil.get_terminal_size()

    def draw(self, lines: Sequence[str]) -> None:
        """Write these lines where the ones before are. What is wider than the terminal is cut there."""
        size = shutil.get_terminal_size()
        start = f"\x1b[{self._drawn}A\r" if self._drawn else ""
        if size != self._size:
            start = _CLEAR  # a terminal that folded the lines anew has them nobody knows where
        text = "".join(f"{line}{_END_OF_LINE}\n" for line in lines)
        stdout.write(f"{start}{_NO_WRAP}{text}{_END_OF_SCREEN}{_WRAP}")
        self._drawn, self._size = len(lines), size
