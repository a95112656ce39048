from __future__ import annotations

import pytest

from torkctl.error_line import error_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param("it failed", "it failed", id="one line"),
        pytest.param("exit code 7: first\n\nsecond\n", "exit code 7: first | second", id="several lines"),
        pytest.param("exit code 7:\nfirst\nsecond", "exit code 7: first | second", id="a colon at the end"),
        pytest.param("a\x1b[31mb\u202ec\td", "a [31mb c d", id="what a terminal would obey"),
        pytest.param("x" * 40, "x" * 40, id="just short enough"),
        pytest.param("head of it " + "x" * 60 + " the end", "head of it xx … xxxxxxxxxxxxxxxx the end", id="too long"),
    ],
)
def test_an_error_in_one_line(text: str, line: str) -> None:
    assert error_line(text, 40) == line
    assert len(line) <= 40
