"""The suite for mounters, held to one that keeps the contract and to those that break it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT
from tork.errors import RuntimeFailure
from tork.task import Mount
from torkd.runtime.containers.mounters import Mounter
from torkd.runtime.protocol import TaskRun
from torkd.testing import MounterContract


class Scratch:
    """A directory for each run; `source` must be a plain name."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def mount(self, mount: Mount, run: TaskRun) -> Mount:
        if "/" in mount.source:
            raise RuntimeFailure(f"'{mount.source}' is no plain name")
        directory = self.place / run.run_id / mount.source
        directory.mkdir(parents=True, exist_ok=True)
        return Mount(type="bind", source=str(directory), target=mount.target)

    def unmount(self, mounted: Mount, run: TaskRun) -> None:
        shutil.rmtree(mounted.source)


class TestScratch(MounterContract):
    """A directory for each run."""

    @pytest.fixture
    def mounter(self, tmp_path: Path) -> Mounter:
        return Scratch(tmp_path)

    @pytest.fixture
    def mount(self) -> Mount:
        return Mount(type="scratch", source="a", target="/scratch")

    @pytest.fixture
    def wrong_mount(self) -> Mount:
        return Mount(type="scratch", source="../etc", target="/scratch")


BROKEN = """
import pytest
from tork.task import Mount
from torkd.testing import MounterContract


class Broken:
    count = 0

    def mount(self, mount, run):
        self.count += 1
        if mount.source == "wrong":
            return mount["source"]
        return Mount(type="nfs", source=str(self.count), target=mount.target)

    def unmount(self, mounted, run):
        pass


class TestBroken(MounterContract):
    @pytest.fixture
    def mounter(self):
        return Broken()

    @pytest.fixture
    def mount(self):
        return Mount(type="x", source="a", target="/a")

    @pytest.fixture
    def wrong_mount(self):
        return Mount(type="x", source="wrong", target="/a")


class TestNothing(MounterContract):
    pass
"""


def test_a_mounter_that_breaks_the_contract_is_told_where(tmp_path: Path) -> None:
    (tmp_path / "test_broken.py").write_text(BROKEN)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-rf", str(tmp_path)],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'shared'}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "4 failed, 1 passed, 5 errors" in ran.stdout
    assert "assert 'nfs' in ('volume', 'bind', 'tmpfs')" in ran.stdout, "assertions are not explained to authors"
    assert "let the class have a fixture `mounter` that makes yours" in ran.stdout
