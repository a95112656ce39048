"""The systemd units that we ship, as tests read them, and copies of them that systemd's own tools accept here."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "contrib" / "systemd"
UNITS = sorted(path.name for path in FOLDER.glob("*.service"))
DAEMONS = [unit for unit in UNITS if unit.startswith("torkd-")]
INSTALLED = "/opt/torkd/bin/torkd"
INSTALLED_TORKCTL = "/opt/torkd/bin/torkctl"


def settings_of(path: Path) -> dict[str, list[str]]:
    """Every setting of a unit or drop-in with its values, in their order."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in path.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[name].append(value)
    return found


def environment_of(unit: str) -> dict[str, str]:
    """The variables that a unit sets, those in comments included."""
    lines = (FOLDER / unit).read_text().splitlines()
    assignments = [line.lstrip("#").partition("Environment=")[2] for line in lines if "Environment=" in line]
    return dict(assignment.split("=", 1) for assignment in assignments if assignment)


def copied_units(folder: Path) -> Path:
    """All of it in `folder`, with a program that is there in place of the installed ones."""
    copied = folder / "system"
    shutil.copytree(FOLDER, copied)
    for path in copied.glob("*.service"):
        path.write_text(path.read_text().replace(INSTALLED, "/bin/true").replace(INSTALLED_TORKCTL, "/bin/true"))
    return copied
