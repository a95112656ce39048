"""Nothing in the project points out of it: no path of somebody's machine, no folder beside the clone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.tree import project_files, short

OUTSIDE = {
    "a folder beside the clone": re.compile(r"\.\./" + "shared"),
    "a path of a machine": re.compile(r"/(?:work/main|root|User[s])/"),
    "a library of elsewhere": re.compile(r"\." + "library/"),
}
TEXTS = [path for path in project_files() if path.suffix not in {".png", ".ico"}]


@pytest.mark.parametrize("pattern", OUTSIDE.values(), ids=OUTSIDE)
def test_no_file_names_a_place_outside_of_the_project(pattern: re.Pattern[str]) -> None:
    def names(path: Path) -> bool:
        return pattern.search(path.read_text(encoding="utf-8", errors="replace")) is not None

    assert [short(path) for path in TEXTS if names(path)] == []


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = []
    for page in [path for path in TEXTS if path.suffix == ".md"]:
        targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)\s#]+)", page.read_text(encoding="utf-8"))
        broken += [f"{short(page)}: {target}" for target in targets if not (page.parent / target).exists()]
    assert broken == []


def test_every_link_within_a_page_has_its_heading() -> None:
    broken = []
    for page in [path for path in TEXTS if path.suffix == ".md"]:
        text = page.read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        broken += [
            f"{short(page)}: #{anchor}" for anchor in re.findall(r"\]\(#([^)]+)\)", text) if anchor not in anchors
        ]
    assert broken == []
