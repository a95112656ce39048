"""A place for a server, a copy of one that was made already, and a process that starts it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.embedded_process import Starter, eventually, kill_all, processes_of
from tests.support.postgres import room
from torkd.datastore.embedded import start_embedded


@pytest.fixture
def place() -> Iterator[Path]:
    """An open directory with a short name. Whatever still runs in it at the end is a failure, and is ended."""
    folder = Path(tempfile.mkdtemp(prefix="torkd-embedded-", dir=room()))
    folder.chmod(0o755)
    try:
        yield folder
        eventually(lambda: not processes_of(folder), f"no process is left in {folder}: {processes_of(folder)}")
    finally:
        kill_all(folder)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def _made_once() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="torkd-embedded-", dir=room()))
    folder.chmod(0o755)
    start_embedded(folder / "base").stop()
    yield folder / "base"
    shutil.rmtree(folder)


@pytest.fixture
def base(_made_once: Path, place: Path) -> Path:
    """A base whose cluster exists and was stopped in order: a copy, which is quicker than initdb."""
    subprocess.run(["cp", "-a", str(_made_once), str(place / "base")], check=True)
    return place / "base"


@pytest.fixture
def starter(base: Path) -> Iterator[Starter]:
    """What the test left of it is ended and reaped, so that a failure stays that of one test."""
    process = Starter(base).answer()
    yield process
    process.kill()
