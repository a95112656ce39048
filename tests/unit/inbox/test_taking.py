"""Moving and deleting: only what was submitted goes, whatever is written or killed in that moment."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from torkctl.inbox.after import After
from torkctl.inbox.claims import Claims
from torkctl.inbox.taking import Taking


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """The watched folder."""
    path = tmp_path / "inbox"
    path.mkdir()
    return path


def key_at(path: Path, _name: str) -> str:
    return "watch-" + path.read_text()


def a_taking(inbox: Path, after: After = After.MOVE, key: Callable[[Path, str], str] = key_at) -> Taking:
    return Taking(str(inbox), after, Claims(str(inbox)), key)


def files(inbox: Path) -> dict[str, str]:
    """All of them but ours, and what is in them."""
    found = [path for path in inbox.rglob("*") if path.is_file() and path.name != "claims"]
    return {str(path.relative_to(inbox)): path.read_text() for path in found}


def dropped(inbox: Path, name: str, text: str) -> None:
    path = inbox / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_what_was_submitted_is_moved_deleted_or_kept(inbox: Path) -> None:
    for name in ("kept", "in/moved", "deleted"):
        dropped(inbox, name, "x")
    assert not a_taking(inbox, After.KEEP).take("kept", "watch-x")
    assert a_taking(inbox, After.MOVE).take("in/moved", "watch-x")
    assert a_taking(inbox, After.DELETE).take("deleted", "watch-x")
    assert files(inbox) == {"kept": "x", "submitted/in/moved": "x"}
    assert list((inbox / ".torkctl" / "taken").iterdir()) == []


@pytest.mark.parametrize("after", [After.MOVE, After.DELETE])
def test_what_was_written_over_it_is_put_back(inbox: Path, after: After) -> None:
    dropped(inbox, "a.yaml", "newer")
    a_taking(inbox, after).take("a.yaml", "watch-x")
    assert files(inbox) == {"a.yaml": "newer"}


def test_what_was_written_over_it_is_put_back_beside_what_came_after_it(inbox: Path) -> None:
    def key_while_another_comes(path: Path, name: str) -> str:
        dropped(inbox, name, "newest")
        return key_at(path, name)

    dropped(inbox, "a.yaml", "newer")
    a_taking(inbox, key=key_while_another_comes).take("a.yaml", "watch-x")
    found = files(inbox)
    assert found.pop("a.yaml") == "newest"
    [(name, text)] = found.items()
    assert name.startswith("a.")
    assert name.endswith(".yaml")
    assert text == "newer"


def test_a_name_that_was_used_before_does_not_overwrite_the_earlier_file(inbox: Path) -> None:
    taking = a_taking(inbox)
    for text in ("first", "second", "third", "third"):
        dropped(inbox, "a.yaml", text)
        taking.take("a.yaml", f"watch-{text}")
    assert files(inbox) == {
        "submitted/a.yaml": "first",
        "submitted/a.second.yaml": "second",
        "submitted/a.third.yaml": "third",
    }


def test_a_file_that_another_watcher_has_taken_is_gone(inbox: Path) -> None:
    assert a_taking(inbox).take("a.yaml", "watch-x")
    assert list((inbox / ".torkctl" / "taken").iterdir()) == []


def test_a_link_stays_where_it_is(inbox: Path) -> None:
    dropped(inbox, "target", "x")
    (inbox / "a.yaml").symlink_to("target")
    assert not a_taking(inbox, After.DELETE).take("a.yaml", "watch-x")
    assert (inbox / "a.yaml").is_symlink()


class KilledError(BaseException):
    """As far as it came."""


@pytest.mark.parametrize("after", list(After))
def test_what_a_killed_watcher_had_taken_is_finished_or_put_back(inbox: Path, after: After) -> None:
    def killed(_path: Path, _name: str) -> str:
        raise KilledError

    for name, text in (("in/good.yaml", "x"), ("bad.yaml", "newer")):
        dropped(inbox, name, text)
        with pytest.raises(KilledError):
            a_taking(inbox, After.MOVE, killed).take(name, "watch-x")
    assert not (inbox / "bad.yaml").exists()
    assert a_taking(inbox, after).recover() == []
    gone = {} if after is After.DELETE else {"submitted/in/good.yaml": "x"}
    assert files(inbox) == {"bad.yaml": "newer", **gone}
    assert list((inbox / ".torkctl" / "taken").iterdir()) == []


def test_a_disk_that_refuses_leaves_the_file_to_be_put_away_later(inbox: Path) -> None:
    (inbox / "submitted").write_text("in the way")
    dropped(inbox, "a.yaml", "x")
    taking = a_taking(inbox)
    with pytest.raises(FileExistsError):
        taking.take("a.yaml", "watch-x")
    assert [type(error) for error in taking.recover()] == [FileExistsError]
    (inbox / "submitted").unlink()
    assert taking.recover() == []
    assert files(inbox) == {"submitted/a.yaml": "x"}


def test_without_hard_links_nothing_is_overwritten_either(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(1, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    taking = a_taking(inbox)
    for text in ("first", "second"):
        dropped(inbox, "a.yaml", text)
        taking.take("a.yaml", f"watch-{text}")
    dropped(inbox, "b.yaml", "newer")
    taking.take("b.yaml", "watch-older")
    assert sorted(files(inbox).values()) == ["first", "newer", "second"]
