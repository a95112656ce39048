"""The wheel has all that runs and nothing else, and its metadata says what the README promises."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator

import pytest

from tests.architecture.tree import PACKAGES, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=60,
    )
    [path] = directory.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_every_module_and_statement_is_in_it_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    wanted = {
        f"{name}/{path.relative_to(folder)}"
        for name, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == wanted
    assert {name.rpartition(".")[2] for name in packed} <= {"py", "sql", "typed", "tcss"}
    assert any(name.endswith("migrations/0001_first.sql") for name in packed)


def test_its_metadata_names_the_scripts_the_licence_and_the_extra(wheel: zipfile.ZipFile) -> None:
    [scripts] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    text = wheel.read(scripts).decode()
    assert "torkctl = torkctl.__main__:main" in text
    assert "torkd = torkd.__main__:main" in text
    [metadata] = [name for name in wheel.namelist() if name.endswith("METADATA")]
    lines = wheel.read(metadata).decode().splitlines()
    assert {
        "Name: torkd",
        "License-Expression: MIT",
        "Requires-Python: >=3.11",
        "Provides-Extra: embedded",
        "Provides-Extra: testing",
    } <= set(lines)
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_no_dependency_is_for_development(wheel: zipfile.ZipFile) -> None:
    names = {text.partition(">")[0].partition("=")[0].partition("[")[0] for text in PROJECT["dependencies"]}
    assert names.isdisjoint({"pytest", "mypy", "ruff", "hypothesis", "hatchling", "import-linter"})
