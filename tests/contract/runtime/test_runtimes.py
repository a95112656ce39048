"""Our runtimes keep the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.runtime.conftest import Adapter
from torkd.runtime.protocol import Runtime
from torkd.testing import RuntimeContract, ScriptWords


class TestRuntimes(RuntimeContract):
    """Each of them."""

    @pytest.fixture
    def words(self, adapter: Adapter) -> ScriptWords:
        return adapter.words

    @pytest.fixture
    def runtime(self, adapter: Adapter, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Runtime]:
        made = adapter.make(tmp_path, request)
        yield made
        made.close()
