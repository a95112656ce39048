"""The error of a step that failed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from torkd.runtime.failure_text import failure_text, step_title


@pytest.mark.parametrize(
    ("title", "tail", "notes", "text"),
    [
        ("", b"", (), "exit code 3"),
        ("", b"one\ntwo\n\n", (), "exit code 3: one\ntwo"),
        ("pre step", b"one\n", (), "exit code 3 (pre step): one"),
        ("", b"", ("out of memory",), "exit code 3: out of memory"),
        ("", b"one\n", ("out of memory", "lost"), "exit code 3: out of memory\nlost\none"),
        ("", b"\xff\n", (), "exit code 3: \ufffd"),
        ("", b"".join(b"%d\n" % n for n in range(12)), (), "exit code 3: " + "\n".join(map(str, range(2, 12)))),
    ],
    ids=["nothing", "lines", "a step", "a note", "notes and lines", "bytes", "many lines"],
)
def test_it_says_the_code_what_is_known_and_the_last_lines(
    title: str, tail: bytes, notes: Sequence[str], text: str
) -> None:
    assert failure_text(3, title, tail, notes) == text


@pytest.mark.parametrize(("name", "title"), [("", "pre step"), ("fetch", "pre step 'fetch'")], ids=["none", "name"])
def test_a_step_is_called_by_its_name(name: str, title: str) -> None:
    assert step_title("pre", name) == title
