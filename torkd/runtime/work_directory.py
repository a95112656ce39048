"""The directory of one step: its script and files going in, its output and progress coming out.

Names of files stay inside it, and what a script leaves in place of its output is never followed elsewhere: the daemon may be
root while the script is not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from tork.errors import RuntimeFailure
from torkd.runtime.identity import Identity
from torkd.runtime.plain_file import (
    MAX_PROGRESS_SIZE,
    MAX_RESULT_SIZE,
    progress_number,
    read_plain_file,
    result_text,
)
from torkd.runtime.process import NO_SCRIPT_IS_OPEN
from torkd.runtime.work_area import WorkArea, remove_tree

_SHOWN_LENGTH = 100
_OUTPUT, _PROGRESS, _SCRIPT = "stdout", "progress", "entrypoint"


class WorkDirectory:
    """Filled when constructed; `leave` it."""

    def __init__(self, area: WorkArea, script: str, files: Mapping[str, str], identity: Identity) -> None:
        self._area = area
        self._path = path = area.take()
        self.path = str(path)
        self.output = f"{self.path}/{_OUTPUT}"
        self.progress = f"{self.path}/{_PROGRESS}"
        self.script = f"{self.path}/{_SCRIPT}"
        self._owner = identity
        self._checked = {name: check_file_name(name) for name in files}
        try:
            self._write(self.output, "", 0o606)
            self._write(self.progress, "", 0o606)
            if files:
                self._write_files(files)
            with NO_SCRIPT_IS_OPEN:
                self._write(self.script, script, 0o555)
        except BaseException:
            self.leave()
            raise

    def read_result(self) -> str:
        """What the script wrote to its output, without NUL. Raises `RuntimeFailure` when it is too much."""
        return result_text(*self._read(self.output, MAX_RESULT_SIZE))

    def read_progress(self) -> float | None:
        """The progress the script told, None when it told none that is a number."""
        return progress_number(self._read(self.progress, MAX_PROGRESS_SIZE)[0])

    def leave(self) -> None:
        """The step has ended; nothing of it stays."""
        try:
            for path in (self.output, self.progress, self.script):
                Path(path).unlink(missing_ok=True)
        except OSError:
            remove_tree(self._path)
        self._area.give_back(self._path)

    def _write_files(self, files: Mapping[str, str]) -> None:
        for name, content in files.items():
            target = Path(self.path, self._checked[name])
            self._make_directories(target.parent)
            try:
                self._write(str(target), content, 0o444)
            except OSError as error:
                raise unwritable(name, error) from error

    def _make_directories(self, directory: Path) -> None:
        if str(directory) == self.path:
            return
        self._make_directories(directory.parent)
        try:
            directory.mkdir(mode=0o755)
        except FileExistsError:
            return
        self._owner.give(directory)

    def _write(self, path: str, content: str, mode: int) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            data = content.encode("utf-8", "replace")
            while data:
                data = data[os.write(fd, data) :]
            os.fchmod(fd, mode)
        finally:
            os.close(fd)
        self._owner.give(path)

    def _read(self, path: str, limit: int) -> tuple[bytes, int]:
        """Nothing for what is not a plain file of the script's user."""
        return read_plain_file(path, limit, lambda status: not self._owner.is_switch or self._owner.owns(status))


def unwritable(name: str, error: OSError) -> RuntimeFailure:
    """That a file of a task can't be what it is called, or not beside the others."""
    shown = name if len(name) <= _SHOWN_LENGTH else f"{name[:_SHOWN_LENGTH]}..."
    return RuntimeFailure(f"file '{shown}' can't be written: {error.strerror} (right would be another name)")


def check_file_name(name: str) -> str:
    """The name of a file of a task: relative, and staying below the work directory. Raises `RuntimeFailure`."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name or name.endswith("/"):
        raise RuntimeFailure(f"file name '{name}' is not allowed (right would be a relative name without '..')")
    if str(path) in {_OUTPUT, _PROGRESS, _SCRIPT}:
        raise RuntimeFailure(
            f"file name '{name}' is taken: the work directory has one of its own (right would be another)"
        )
    return name
