"""The files of the project, for tests that look at all of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {"tork": ROOT / "shared" / "tork", "torkd": ROOT / "torkd", "torkctl": ROOT / "torkctl"}


def project_files() -> list[Path]:
    """What belongs to the project: what git knows, or would know with the next change."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        files = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:  # an unpacked source distribution
        files = [path for path in ROOT.rglob("*") if not any(part.startswith(".") for part in path.parts)]
    return sorted(path for path in files if path.is_file())


def modules() -> list[Path]:
    """The product's Python files."""
    return sorted(path for package in PACKAGES.values() for path in package.rglob("*.py"))


def short(path: Path) -> str:
    """Its place in the tree."""
    return str(path.relative_to(ROOT))
