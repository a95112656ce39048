"""The banner is for people at a terminal, and goes where `cli.banner.mode` says."""

from __future__ import annotations

import io
import logging

import pytest

from torkd.banner import show_banner


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("mode", "shown", "logged"), [("off", False, False), ("console", True, False), ("log", False, True)]
)
def test_mode_says_where_the_banner_goes(
    mode: str, shown: bool, logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    stdout, stderr = Terminal(), Terminal()

    with caplog.at_level(logging.INFO):
        show_banner(mode, version="1.2.3", stdout=stdout, stderr=stderr)

    assert ("1.2.3" in stdout.getvalue()) is shown
    assert ("torkd 1.2.3" in caplog.messages) is logged
    assert stderr.getvalue() == ""


@pytest.mark.parametrize("mode", ["off", "console", "log"])
def test_nothing_is_shown_where_no_terminal_is(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    stdout, stderr = io.StringIO(), io.StringIO()

    with caplog.at_level(logging.INFO):
        show_banner(mode, version="1.2.3", stdout=stdout, stderr=stderr)

    assert (stdout.getvalue(), stderr.getvalue(), caplog.messages) == ("", "", [])
