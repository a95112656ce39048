"""Which file counts, and what is said of one that can't be read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.settings.conftest import Load
from tork.errors import SettingsError

CANDIDATES = ("cwd/config.local.toml", "cwd/config.toml", "home/tork/config.toml", "system/config.toml")


def _write(places: Mapping[str, Path], candidate: str, toml: str) -> Path:
    place, _, name = candidate.partition("/")
    path = places[place] / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(toml, encoding="utf-8")
    return path


def test_no_file_is_fine(load: Load) -> None:
    assert load().file is None


@pytest.mark.parametrize("first", range(len(CANDIDATES)), ids=CANDIDATES)
def test_first_file_found_counts_alone(first: int, load: Load, places: Mapping[str, Path]) -> None:
    for candidate in CANDIDATES[first:]:
        _write(places, candidate, f'worker.name = "{candidate}"')
    _write(places, CANDIDATES[-1], 'coordinator.name = "last"')

    loaded = load()

    if first < len(CANDIDATES) - 1:
        assert loaded.settings.worker.name == CANDIDATES[first]
        assert loaded.settings.coordinator.name == "Coordinator"
    else:
        assert loaded.settings.coordinator.name == "last"


def test_directory_of_that_name_is_no_file(load: Load, places: Mapping[str, Path]) -> None:
    (places["cwd"] / "config.local.toml").mkdir()
    _write(places, "cwd/config.toml", 'worker.name = "w"')

    assert load().settings.worker.name == "w"


@pytest.mark.parametrize("named", ["home/other.toml", "~/other.toml"])
def test_named_file_counts_alone(named: str, load: Load, places: Mapping[str, Path]) -> None:
    _write(places, "cwd/config.toml", 'coordinator.name = "other"')
    path = _write(places, "home/other.toml", 'worker.name = "named"')

    loaded = load("", {"TORK_CONFIG": named if named.startswith("~") else str(path)})

    assert loaded.file == path
    assert (loaded.settings.worker.name, loaded.settings.coordinator.name) == ("named", "Coordinator")


def test_named_file_may_be_relative(load: Load, places: Mapping[str, Path]) -> None:
    path = _write(places, "cwd/my.toml", "")

    assert load("", {"TORK_CONFIG": "my.toml"}).file == path


def test_empty_name_counts_as_no_name(load: Load) -> None:
    assert load("", {"TORK_CONFIG": ""}).file is None


@pytest.mark.parametrize("name", ["/nowhere/config.toml", "cwd", "\0"])
def test_named_file_must_exist(name: str, load: Load, places: Mapping[str, Path]) -> None:
    text = str(places["cwd"]) if name == "cwd" else name

    with pytest.raises(SettingsError, match="could not find config file in: "):
        load('worker.name = "not read"', {"TORK_CONFIG": text})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"worker = [", "is not TOML: "),
        (b"a = 1\na = 2", "is not TOML: "),
        (b"a = 1\nb = '\xff'", "line 2 is not UTF-8 text"),
        (b"a = " + b"[" * 100_000, "is nested too deeply"),
        (b"[broker.x" + b".x" * 60 + b"]", "is nested too deeply"),
        (b"a = " + b"9" * 10_000, "is not TOML: "),
        (b"#" * 5_000_000, "is larger than"),
    ],
    ids=["syntax", "twice the same key", "not UTF-8", "brackets", "tables", "number", "size"],
)
def test_unusable_file_is_refused_by_name(content: bytes, reason: str, load: Load, places: Mapping[str, Path]) -> None:
    path = places["cwd"] / "config.toml"
    path.write_bytes(content)

    with pytest.raises(SettingsError) as refused:
        load()

    assert str(refused.value).startswith(f"{path}: {reason}")
    assert "\n" not in str(refused.value)


def test_byte_order_mark_is_no_obstacle(load: Load, places: Mapping[str, Path]) -> None:
    (places["cwd"] / "config.toml").write_bytes(b"\xef\xbb\xbfworker.name = 'w'")

    assert load().settings.worker.name == "w"


@pytest.mark.parametrize(
    ("toml", "key", "line"),
    [
        ("\n[worker]\n\n  name = 'w'", "worker.name", 4),
        ("[worker.queues]\nvideo = 2", "worker.queues.video", 2),
        ("worker = {name = 'w'}", "worker.name", 1),
        ("[worker]\nlogs.max = 5", "worker.logs.max", 2),
        ("'worker' . \"name\" = 'w'", "worker.name", 1),
        ('[a]\ntext = """\n[worker]\nname = 1\n"""\n[worker]\nname = "w"', "worker.name", 7),
        ("# name = 1\n[worker] # here\nname = 'w'", "worker.name", 3),
    ],
    ids=["table", "entry", "inline table", "dotted", "quoted", "after a long text", "after comments"],
)
def test_origin_has_the_line(toml: str, key: str, line: int, load: Load) -> None:
    assert str(load(toml).origins[key]).endswith(f"config.toml:{line}")
