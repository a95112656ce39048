"""Rings when something has changed in the folder. A ring is a hint: what is there is always looked up, also without one.

watchfiles has its only home here and is imported when a folder is watched, for it costs 40 ms.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torkctl.inbox.folder import identity_of
from torkctl.inbox.names import Selection

_DEBOUNCE_MILLISECONDS = 500
_STEP_MILLISECONDS = 100
_TIMEOUT_MILLISECONDS = 1000
_PAUSE_SECONDS = 1.0
_LOCAL_FUSE = {"fuse.mergerfs", "fuse.bindfs", "fuse.encfs", "fuse.gocryptfs", "fuse.unionfs"}
_REMOTE = {
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "drvfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2",
    "orangefs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Changed:
    """These files changed; with `everything`, anything may have."""

    names: frozenset[str] = frozenset()
    everything: bool = False


class Doorbell:
    """A thread that waits for the system to tell of changes, and goes on trying where it can't."""

    def __init__(
        self, root: str, selection: Selection, ring: Callable[[Changed], None], warn: Callable[[str], None]
    ) -> None:
        self._root = root
        self._selection = selection
        self._ring = ring
        self._warn = warn
        self._has_warned = False
        self._over = threading.Event()
        self.works = False
        """Whether changes are told; without it somebody has to look often."""

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """End."""
        self._over.set()

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                self._listen_once()
            except Exception as error:  # noqa: BLE001 - rings are hints: whatever goes wrong, it goes on, and watchfiles has errors of its own
                self._tell(error)
            if self.works:
                self.works = False
                self._ring(Changed(everything=True))  # what came while it was failing
            self._over.wait(_PAUSE_SECONDS)

    def _listen_once(self) -> None:
        """Returns when the path leads to another folder, or nowhere: what comes there is not told of here."""
        import watchfiles

        listened_to = identity_of(self._root)
        changes = watchfiles.watch(
            self._root,
            watch_filter=None,
            debounce=_DEBOUNCE_MILLISECONDS,
            step=_STEP_MILLISECONDS,
            stop_event=self._over,
            rust_timeout=_TIMEOUT_MILLISECONDS,
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=self._selection.recursive,
            ignore_permission_denied=True,
        )
        for found in changes:
            if not self.works:
                self.works = True
                self._ring(Changed(everything=True))  # what came before the system told of changes
            paths = [path for _, path in found]
            if paths:
                self._ring(self._changed(paths))
            # The system tells that a folder was removed only when nobody has a file of it open any more.
            is_removed = any(os.path.relpath(path, self._root) == "." for path in paths)
            if is_removed or identity_of(self._root) != listened_to:
                return

    def _changed(self, paths: list[str]) -> Changed:
        names = [os.path.relpath(path, self._root) for path in paths]
        taken = frozenset(name for name in names if self._selection.takes(name))
        # a folder that appeared may have been filled before it was watched
        others = [name for name in names if self._selection.recursive and self._selection.enters(name)]
        return Changed(names=taken, everything=any((Path(self._root) / name).is_dir() for name in others))

    def _tell(self, error: Exception) -> None:
        missing = not Path(self._root).is_dir()
        odd_name = "decode path" in str(error)  # watchfiles gives up at a name that is not UTF-8
        if not self._has_warned and not missing and not odd_name:
            self._has_warned = True
            self._warn(
                f"the system does not tell of changes in {self._root} ({error}); it is looked at every few seconds"
                " instead (where a limit was reached, right would be a larger fs.inotify.max_user_watches)"
            )


def tells_of_changes(root: str, mounts: str = "/proc/self/mountinfo") -> bool:
    """Whether the system knows all that changes there: not where other machines can write, too."""
    try:
        lines = Path(mounts).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return True
    kind, longest = "", -1
    real = os.fspath(Path(root).resolve())
    for line in lines:
        fields, _, rest = line.partition(" - ")
        point = _unescaped(fields.split(" ")[4])
        if len(point) >= longest and os.path.commonpath([real, point]) == point:
            kind, longest = rest.split(" ")[0], len(point)
    return kind not in _REMOTE and (not kind.startswith("fuse") or kind in _LOCAL_FUSE)


def _unescaped(text: str) -> str:
    for code, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, letter)
    return text
