"""Whatever a file or the environment holds, reading ends in settings or in a `SettingsError`."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tork.errors import SettingsError
from torkd.settings import load_settings, render_config
from torkd.settings.collecting import variable_of
from torkd.settings.model import KEYS, TABLES
from torkd.settings.origins import toml
from torkd.settings.sizes import format_size, parse_size

TEXTS = st.text(max_size=20) | st.sampled_from(
    ["1h", "5K", "true", "0", "-1", "a,b", ":80", "amqp://h", "http://[", "9" * 25]
)
VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats() | TEXTS | st.dates() | st.datetimes() | st.times(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(
    [*KEYS, *sorted(TABLES), "worker.queues.x", "broker.kafka", "broker.kafka.a", "mounter", "nope"]
)
VARIABLES = NAMES.map(variable_of) | st.text(alphabet="ABC_abc", max_size=12).map("TORK_{}".format)
RAW_TEXTS = TEXTS | st.text(st.characters(exclude_categories=[]), max_size=8)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def _load(directory: Path, content: bytes, environ: dict[str, str]) -> None:
    (directory / "config.toml").write_bytes(content)
    try:
        loaded = load_settings(environ, cwd=directory, home=directory, system=directory)
    except SettingsError as error:
        str(error).encode("utf-8")
    else:
        tomllib.loads(render_config(loaded))


@given(st.dictionaries(NAMES, VALUES, max_size=4))
@settings(max_examples=300, deadline=None)
def test_values_of_any_kind(directory: Path, values: dict[str, object]) -> None:
    content = "".join(f"{name} = {toml(value)}\n" for name, value in values.items())

    _load(directory, content.encode("utf-8", "replace"), {})


@given(st.dictionaries(VARIABLES, RAW_TEXTS, max_size=5))
@settings(max_examples=300, deadline=None)
def test_variables_of_any_kind(directory: Path, environ: dict[str, str]) -> None:
    _load(
        directory, b"[broker.kafka]\na = 1\n", {name: text for name, text in environ.items() if name != "TORK_CONFIG"}
    )


@given(st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def test_file_names_of_any_kind(directory: Path, name: str) -> None:
    _load(directory, b"", {"TORK_CONFIG": name})


@given(st.binary(max_size=200) | st.text("[]=.\"'{}#\n ab1-:", max_size=80).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_files_of_any_bytes(directory: Path, content: bytes) -> None:
    _load(directory, content, {})


@given(st.integers(0, 2**63 - 1))
def test_size_reads_back_as_it_was_written(size: int) -> None:
    assert parse_size(format_size(size)) == size
