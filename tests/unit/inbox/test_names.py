"""Which names are job files, and how names are shown."""

from __future__ import annotations

import pytest

from torkctl.inbox.names import Selection, shown

PLAIN = Selection()
DEEP = Selection(recursive=True)


@pytest.mark.parametrize(
    "name", ["a.yaml", "a.yml", "a.json", "A.YAML", "a b.yml", "-x.json", "\udcff.yaml", "a\n.yaml"]
)
def test_job_files_are_taken(name: str) -> None:
    assert PLAIN.takes(name)


@pytest.mark.parametrize(
    "name",
    [
        "a.txt",
        ".a.yaml",
        ".a.yaml.swp",
        "a.yaml~",
        "a.yaml.error",
        "a.yaml.result.json",
        "a.yaml.part",
        "yaml",
        "b/a.yaml",
    ],
)
def test_other_files_are_not(name: str) -> None:
    assert not PLAIN.takes(name)


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("a.yaml", True),
        ("b/a.yaml", True),
        ("b/c/a.yaml", True),
        ("submitted/a.yaml", False),
        ("b/submitted/a.yaml", True),
        (".torkctl/taken/a.yaml", False),
        ("b/.git/a.yaml", False),
    ],
)
def test_recursion_leaves_out_what_is_ours_and_what_is_hidden(name: str, taken: bool) -> None:
    assert DEEP.takes(name) is taken


def test_patterns_take_the_place_of_the_default() -> None:
    selection = Selection(patterns=("job-*", "in/*.yaml"), recursive=True)
    assert [name for name in ("job-1", "a.yaml", "in/a.yaml", "in/job-2", "job-1.error") if selection.takes(name)] == [
        "job-1",
        "in/a.yaml",
        "in/job-2",
    ]


def test_a_name_that_would_fool_a_terminal_is_shown_harmless() -> None:
    assert shown("a\x1b[2J\n\udcff ü.yaml") == "a\ufffd[2J\ufffd\ufffd ü.yaml"
