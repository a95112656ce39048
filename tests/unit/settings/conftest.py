"""Loading settings from a text and variables, in directories of the test's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import pytest

from torkd.settings import Loaded, load_settings

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Load(Protocol):
    """`load('worker.drain = "1m"', {"TORK_WORKER_NAME": "w"})`"""

    def __call__(
        self,
        toml: str = "",
        environ: Mapping[str, str] = ...,
        *,
        known: Mapping[str, Collection[str]] = ...,
        is_root: bool = ...,
        given: Mapping[str, Any] | None = ...,
    ) -> Loaded: ...


@pytest.fixture
def places(tmp_path: Path) -> Mapping[str, Path]:
    """The directories in which a file is looked for: `cwd`, `home`, `system`."""
    directories = {name: tmp_path / name for name in ("cwd", "home", "system")}
    for directory in directories.values():
        directory.mkdir()
    return directories


@pytest.fixture
def load(places: Mapping[str, Path]) -> Load:
    def load(
        toml: str = "",
        environ: Mapping[str, str] = NOTHING,
        *,
        known: Mapping[str, Collection[str]] = NOTHING,
        is_root: bool = False,
        given: Mapping[str, Any] | None = None,
    ) -> Loaded:
        if toml:
            (places["cwd"] / "config.toml").write_text(toml, encoding="utf-8")
        return load_settings(
            environ,
            cwd=places["cwd"],
            home=places["home"],
            system=places["system"],
            is_root=is_root,
            known_brokers=known.get("brokers", ()),
            known_datastores=known.get("datastores", ()),
            known_runtimes=known.get("runtimes", ()),
            given=given,
        )

    return load
