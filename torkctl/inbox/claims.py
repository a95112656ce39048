"""Who is at work on what, among watchers of one folder: byte ranges of a file, locked for as long as the work lasts.

A lock ends with its process, however that ends, also on another machine. Where there are no locks everybody has every
claim: they only keep two from doing the same, which the server would not count twice.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from pathlib import Path

from torkctl.inbox.ledger import own_folder

_TAKEN = {errno.EAGAIN, errno.EACCES}
_LARGEST = 2**62


class Claims:
    """The claims of this process. One thread uses them."""

    def __init__(self, root: str) -> None:
        self._root = Path(root)
        self._descriptor: int | None = None

    def take(self, what: str) -> bool:
        """Whether nobody else has it; then it is ours, and stays so until it is dropped."""
        descriptor = self._file()
        if descriptor is None:
            return True
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(what))
        except OSError as error:
            return error.errno not in _TAKEN
        return True

    def drop(self, what: str) -> None:
        """Let others have it."""
        if self._descriptor is None:
            return
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _place(what))
        except OSError:
            return  # where nothing can be locked

    def close(self) -> None:
        """Let others have everything: the folder is another one now, or the work is over."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _file(self) -> int | None:
        # Opened once: closing any descriptor of it would drop all locks of the process.
        if self._descriptor is None:
            try:
                path = own_folder(self._root) / "claims"
                self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            except OSError:
                return None
        return self._descriptor


def _place(what: str) -> int:
    return int.from_bytes(hashlib.sha256(what.encode()).digest()[:8]) % _LARGEST
