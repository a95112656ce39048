"""Where the commands take a password from."""

from __future__ import annotations

import argparse
import getpass
import io
import sys
from pathlib import Path

import pytest

from tork.errors import StartError
from torkd.accounts_command import _password


def given(source: str | None) -> argparse.Namespace:
    return argparse.Namespace(name="ada", password_file=source)


def say(patch: pytest.MonkeyPatch, data: bytes) -> None:
    """On stdin, which decodes as it does where no locale is set."""
    patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", errors="surrogateescape"))


@pytest.mark.parametrize("source", ["-", None, "file"])
def test_it_is_the_first_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str | None) -> None:
    data = "ungehört\r\nnot this".encode()
    say(monkeypatch, data)
    (tmp_path / "file").write_bytes(data)
    monkeypatch.chdir(tmp_path)
    assert _password(given(source)) == "ungehört"


@pytest.mark.parametrize("source", ["-", "file"])
def test_what_is_no_text_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    say(monkeypatch, b"p\xff\n")
    (tmp_path / "file").write_bytes(b"p\xff\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StartError, match=f"--password-file {source} can't be read: it is not UTF-8 text"):
        _password(given(source))


def test_an_end_of_input_at_the_prompt_is_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(_prompt: str) -> str:
        raise EOFError

    say(monkeypatch, b"")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(getpass, "getpass", end)
    with pytest.raises(StartError, match="there is no password"):
        _password(given(None))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("  seven77 \n", "the password is too short (right would be at least 8 characters)"),
        ("é" * 37, "the password is too long (right would be at most 72 bytes)"),
    ],
    ids=["short", "long"],
)
def test_one_that_can_not_be_is_refused(monkeypatch: pytest.MonkeyPatch, text: str, told: str) -> None:
    say(monkeypatch, text.encode())
    with pytest.raises(StartError) as refused:
        _password(given("-"))
    assert str(refused.value) == told
