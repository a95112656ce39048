"""Files that a task had its hands on are read when they are plain files, and never further than asked."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from torkd.runtime.plain_file import read_plain_file


def test_at_most_so_much_is_read_and_the_size_is_told(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abcdef")
    assert read_plain_file(str(tmp_path / "f"), 3) == (b"abc", 6)


def test_a_file_that_is_not_trusted_reads_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert read_plain_file(str(tmp_path / "f"), 3, lambda status: status.st_size != 3) == (b"", 0)


@pytest.mark.parametrize(
    "put",
    [lambda path: path.symlink_to("/etc/passwd"), os.mkfifo, Path.mkdir, lambda path: None],
    ids=["a link", "a pipe", "a directory", "nothing"],
)
def test_what_is_no_plain_file_reads_as_nothing(tmp_path: Path, put: Callable[[Path], None]) -> None:
    put(tmp_path / "f")
    assert read_plain_file(str(tmp_path / "f"), 100) == (b"", 0)


def test_what_is_no_plain_file_is_not_even_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "f")  # as a device would be, which needs rights to make
    opened = []
    really_open = os.open

    def noting_open(path: str, flags: int, *more: int) -> int:
        opened.append((path, flags))
        return really_open(path, flags, *more)

    monkeypatch.setattr(os, "open", noting_open)
    read_plain_file(str(tmp_path / "f"), 100)
    assert [flags & os.O_PATH for _, flags in opened] == [os.O_PATH]
