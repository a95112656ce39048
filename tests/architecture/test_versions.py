"""One version, told the same everywhere; the changelog's newest entry is it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import torkd
from tests.architecture.tree import ROOT

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_newest_entry_of_the_changelog_is_this_version() -> None:
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", CHANGELOG, re.MULTILINE)
    assert versions[0] == torkd.__version__
    assert versions == sorted(versions, key=lambda text: [int(part) for part in text.split(".")], reverse=True)


@pytest.mark.parametrize("program", ["torkd", "torkctl"])
def test_both_programs_tell_it(program: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", program, "--version"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert told.stdout == f"{program} {torkd.__version__}\n"


def test_it_is_written_in_one_place() -> None:
    written = re.compile(rf"""["']{re.escape(torkd.__version__)}["']""")
    places = [
        path
        for folder in ("torkd", "torkctl", "shared")
        for path in (ROOT / folder).rglob("*.py")
        if written.search(path.read_text(encoding="utf-8"))
    ]
    assert len(places) == 1
