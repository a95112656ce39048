"""Named servers, shown and changed: the file keeps what people wrote into it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support.torkctl_runs import Torkctl

WRITTEN = """\
# my servers
current = "prod"  # careful

[contexts.prod]
endpoint = "https://tork.example.org"
key = "sesame" # of ci

# the one under the desk
[contexts."desk top"]
endpoint = "http://localhost:8000"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "home" / ".config" / "torkctl" / "config.toml"
    path.parent.mkdir(parents=True)
    return path


def written(path: Path) -> Any:
    return tomllib.loads(path.read_text())


def test_the_first_context_is_the_current_one_and_only_its_owner_reads_it(
    torkctl: Torkctl, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", 'se"sa\\me')
    assert torkctl("context", "add", "prod", "-e", "https://tork.example.org/", "--key", "env:A_KEY").code == 0
    assert written(path) == {
        "current": "prod",
        "contexts": {"prod": {"endpoint": "https://tork.example.org", "key": 'se"sa\\me'}},
    }
    assert path.stat().st_mode & 0o777 == 0o600
    assert [child.name for child in path.parent.iterdir()] == ["config.toml"]
    assert torkctl("context", "add", "other", "-e", "http://localhost:1", "--use").code == 0
    assert written(path)["current"] == "other"
    assert json.loads(torkctl("context", "-o", "json").out)[1] == {
        "name": "prod", "endpoint": "https://tork.example.org", "current": False, "username": "", "credentials": "key",
    }  # fmt: skip


def test_a_change_leaves_every_other_line_as_it_was(torkctl: Torkctl, path: Path) -> None:
    path.write_text(WRITTEN)
    path.chmod(0o600)
    assert torkctl("context", "use", "desk top").code == 0
    assert path.read_text() == WRITTEN.replace('current = "prod"', 'current = "desk top"')
    assert torkctl("context", "remove", "prod", "-y").code == 0
    assert path.read_text() == WRITTEN.replace('current = "prod"', 'current = "desk top"').replace(
        '[contexts.prod]\nendpoint = "https://tork.example.org"\nkey = "sesame" # of ci\n\n', ""
    )
    assert torkctl("context", "remove", "desk top", "-y").code == 0
    assert written(path) == {}


@pytest.mark.parametrize(
    "text", ['contexts.prod.endpoint = "http://a"\n', 'contexts = {prod = {endpoint = "http://a"}}\n']
)
def test_what_can_not_be_changed_safely_is_left_alone(torkctl: Torkctl, path: Path, text: str) -> None:
    path.write_text(text)
    ran = torkctl("context", "remove", "prod", "-y")
    assert (ran.code, path.read_text()) == (2, text)
    assert "by hand" in ran.err


def test_a_link_stays_a_link(torkctl: Torkctl, path: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text(WRITTEN)
    real.chmod(0o600)
    path.symlink_to(real)
    assert torkctl("context", "use", "desk top").code == 0
    assert path.is_symlink()
    assert written(real)["current"] == "desk top"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("use", "nope"), 4, "known: desk top, prod"),
        (("remove", "nope", "-y"), 4, "nope"),
        (("remove", "prod"), 2, "--yes"),
        (("add", "prod", "-e", "http://a"), 2, "already"),
        (("add", "new"), 2, "--endpoint"),
        (("add", "new", "-e", "ftp://a"), 2, "ftp://a"),
        (("add", "new", "-e", "http://a", "--key", "in-clear"), 2, "env:VARIABLE"),
        (("add", "new", "-e", "http://a", "--key", "env:K", "--username", "u"), 2, "one or the other"),
    ],
    ids=str,
)
def test_a_refusal_changes_nothing(torkctl: Torkctl, path: Path, words: tuple[str, ...], code: int, told: str) -> None:
    path.write_text(WRITTEN)
    path.chmod(0o600)
    ran = torkctl("context", *words)
    assert (ran.code, path.read_text()) == (code, WRITTEN)
    assert told in ran.err
    assert "in-clear" not in ran.err
