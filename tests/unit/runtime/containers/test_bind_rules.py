"""What a task may mount of the host: by where a path really leads, default deny."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tork.errors import RuntimeFailure
from torkd.runtime.containers.bind_rules import BindRules, BindSource


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    """A directory that the rules below allow."""
    path = (tmp_path / "allowed").resolve()
    path.mkdir()
    return path


@pytest.fixture
def umask() -> Iterator[None]:
    """One that takes rights off."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def rules_for(*sources: Path | str) -> BindRules:
    return BindRules(True, [str(source) for source in sources])


def check(rules: BindRules, source: Path | str) -> BindSource:
    return rules.check(str(source), on_this_host=True)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nothing_may_be_mounted_unless_it_is_allowed_at_all(allowed: Path) -> None:
    with pytest.raises(RuntimeFailure, match=r"^bind mounts are not allowed \(right would be"):
        check(BindRules(False, [str(allowed)]), allowed)


@pytest.mark.parametrize(
    "sources", [[], [""], ["allowed"], ["."], ["~"], ["/a\0b"]], ids=["none", "empty", "name", "dot", "home", "NUL"]
)
@pytest.mark.parametrize("on_this_host", [True, False], ids=["here", "elsewhere"])
def test_a_list_that_names_no_absolute_path_allows_nothing(
    sources: list[str], on_this_host: bool, allowed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(allowed.parent)
    with pytest.raises(RuntimeFailure, match=r"^src bind mount is not allowed: "):
        BindRules(True, sources).check(str(allowed), on_this_host=on_this_host)


def test_a_source_is_required(allowed: Path) -> None:
    with pytest.raises(RuntimeFailure, match=r"^bind source is required"):
        check(rules_for(allowed), "")


@pytest.mark.parametrize(
    "source", ["allowed", "./allowed", "/a\0b", "/\ud800x", "~/x"], ids=["name", "dot", "NUL", "no UTF-8", "home"]
)
def test_a_source_that_is_no_absolute_path_is_refused(source: str) -> None:
    with pytest.raises(RuntimeFailure, match=r"^src bind mount is not allowed: .*\(right would be an absolute path\)$"):
        check(rules_for("/"), source)


def test_an_allowed_path_and_what_is_below_it_is_allowed(allowed: Path) -> None:
    (allowed / "a").mkdir()
    (allowed / "a" / "file").touch()
    for path in (allowed, allowed / "a", allowed / "a" / "file"):
        assert check(rules_for("/nowhere", allowed), path) == BindSource(str(path))


def test_the_root_allows_everything(allowed: Path) -> None:
    assert check(rules_for("/"), allowed).path == str(allowed)
    assert check(rules_for("/"), "/").path == "/"


@pytest.mark.parametrize(
    "source", ["{}-not", "{}/..", "{}/../other", "{}/a/../../other", "/", "/etc/passwd", "{upper}"]
)
def test_what_lies_elsewhere_is_refused_and_not_made(source: str, allowed: Path) -> None:
    (allowed / "a").mkdir()
    text = source.format(allowed, upper=str(allowed).upper())
    with pytest.raises(RuntimeFailure) as refused:
        check(rules_for(allowed), text)
    assert str(refused.value).startswith(f"src bind mount is not allowed: {text} (right would be")
    assert [path.name for path in allowed.parent.iterdir()] == ["allowed"]


def test_a_link_out_of_what_is_allowed_is_refused(allowed: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (allowed / "link").symlink_to(tmp_path / "secret")
    for source in (allowed / "link", allowed / "link" / "new"):
        with pytest.raises(RuntimeFailure, match=r"^src bind mount is not allowed"):
            check(rules_for(allowed), source)
    assert list((tmp_path / "secret").iterdir()) == []


def test_a_link_to_what_is_allowed_is_mounted_as_what_it_leads_to(allowed: Path, tmp_path: Path) -> None:
    (allowed / "real").mkdir()
    (tmp_path / "link").symlink_to(allowed / "real")
    assert check(rules_for(allowed), tmp_path / "link").path == str(allowed / "real")


def test_an_allowed_link_allows_what_it_leads_to(allowed: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(allowed)
    assert check(rules_for(tmp_path / "link"), tmp_path / "link" / "a").path == str(allowed / "a")


def test_dots_are_taken_where_links_lead(allowed: Path, tmp_path: Path) -> None:
    """Of the text alone, `allowed/link/..` would be `allowed`."""
    (tmp_path / "other" / "inner").mkdir(parents=True)
    (allowed / "link").symlink_to(tmp_path / "other" / "inner")
    with pytest.raises(RuntimeFailure, match=r"^src bind mount is not allowed"):
        check(rules_for(allowed), f"{allowed}/link/..")


def test_links_in_a_circle_are_refused(allowed: Path) -> None:
    (allowed / "a").symlink_to(allowed / "b")
    (allowed / "b").symlink_to(allowed / "a")
    with pytest.raises(RuntimeFailure, match=r"^src bind mount is not allowed"):
        check(rules_for(allowed), allowed / "a")


def test_a_missing_directory_is_made_for_everybody_to_write(allowed: Path, umask: None) -> None:
    before = mode_of(allowed)
    bound = check(rules_for(allowed), allowed / "a" / "b")
    assert bound == BindSource(str(allowed / "a" / "b"), (str(allowed / "a"), str(allowed / "a" / "b")))
    assert [mode_of(allowed / "a"), mode_of(allowed / "a" / "b"), mode_of(allowed)] == [0o707, 0o707, before]


def test_a_directory_that_is_there_keeps_its_rights(allowed: Path) -> None:
    (allowed / "a").mkdir(mode=0o700)
    assert check(rules_for(allowed), allowed / "a").created == ()
    assert mode_of(allowed / "a") == 0o700


def test_of_an_allowed_path_that_is_missing_the_parents_are_not_for_everybody(tmp_path: Path) -> None:
    check(rules_for(tmp_path / "a" / "b"), tmp_path / "a" / "b" / "c")
    assert [mode_of(tmp_path / name) for name in ("a", "a/b", "a/b/c")] == [0o755, 0o707, 0o707]


def test_a_file_on_the_way_is_named(allowed: Path) -> None:
    (allowed / "file").touch()
    with pytest.raises(RuntimeFailure, match=rf"^bind source {allowed}/file/a can't be used: Not a directory at "):
        check(rules_for(allowed), allowed / "file" / "a")


def test_a_path_that_can_not_be_entered_is_refused(allowed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter = os.open

    def refuse(name: str, *arguments: Any, **named: Any) -> int:
        if name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied")
        return enter(name, *arguments, **named)

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(RuntimeFailure, match=r"can't be used: Permission denied at .*/closed"):
        check(rules_for(allowed), allowed / "closed" / "a")


@pytest.mark.parametrize("inner", ["", "/new"], ids=["itself", "below it"])
def test_a_link_put_there_after_the_path_was_resolved_is_not_followed(
    inner: str, allowed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").mkdir()
    resolve = os.path.realpath

    def resolve_then_swap(path: str) -> str:
        real = resolve(path)
        if path.startswith(f"{allowed}/a") and not (allowed / "a").is_symlink():
            (allowed / "a").symlink_to(tmp_path / "secret")
        return real

    monkeypatch.setattr("os.path.realpath", resolve_then_swap)
    with pytest.raises(RuntimeFailure, match=r"^(src bind mount is not allowed|bind source .* can't be used)"):
        check(rules_for(allowed), f"{allowed}/a{inner}")
    assert list((tmp_path / "secret").iterdir()) == []


@pytest.mark.parametrize(
    ("source", "path"),
    [("/srv/a", "/srv/a"), ("//srv//a/", "/srv/a"), ("/srv/a/../b/.", "/srv/b"), ("/srv", "/srv")],
    ids=["plain", "slashes", "dots", "itself"],
)
def test_of_an_engine_elsewhere_the_text_decides_and_nothing_is_made(source: str, path: str) -> None:
    assert rules_for("/srv/").check(source, on_this_host=False) == BindSource(path)
    assert not Path("/srv/a").exists()


@pytest.mark.parametrize("source", ["/srv/../etc", "/srvx", "/SRV/a", "/"])
def test_of_an_engine_elsewhere_other_texts_are_refused(source: str) -> None:
    with pytest.raises(RuntimeFailure, match=r"^src bind mount is not allowed"):
        rules_for("/srv").check(source, on_this_host=False)
