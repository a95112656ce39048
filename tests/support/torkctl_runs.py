"""torkctl run within the process of the test, its output captured."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from torkctl.__main__ import guarded
from torkctl.cli import run_command_line


@dataclass(frozen=True)
class Result:
    """What a command line came to."""

    code: int
    out: str
    err: str


class Torkctl:
    """Runs command lines."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *arguments: str) -> Result:
        self._capture.readouterr()
        code = guarded(lambda: run_command_line(arguments))
        out, err = self._capture.readouterr()
        return Result(code, out, err)


@contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[None]:
    """Do that in another thread while the body runs, and have it done at the end."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()
