"""A skip is noticed where it counts: with `CI=true` it fails the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPS = {
    "by-mark": "import pytest\n@pytest.mark.skip(reason='no server')\ndef test_it(): pass\n",
    "by-condition": "import pytest\n@pytest.mark.skipif(True, reason='no server')\ndef test_it(): pass\n",
    "in-the-test": "import pytest\ndef test_it(): pytest.skip('no server')\n",
    "in-a-fixture": (
        "import pytest\n@pytest.fixture\ndef server(): pytest.skip('no server')\ndef test_it(server): pass\n"
    ),
    "whole-module": "import pytest\npytest.skip('no server', allow_module_level=True)\n",
}
EXPECTED_FAILURE = "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_it(): assert False\n"


def run_pytest(directory: Path, text: str, *, ci: str) -> subprocess.CompletedProcess[str]:
    (directory / "test_it.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "--rootdir", str(directory), str(directory)],
        cwd=ROOT,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("text", SKIPS.values(), ids=SKIPS)
def test_a_skip_fails_the_run_in_ci(tmp_path: Path, text: str) -> None:
    ended = run_pytest(tmp_path, text, ci="true")
    assert ended.returncode in {1, 2}
    assert "with CI=true nothing may be skipped" in ended.stdout
    assert "no server" in ended.stdout


def test_a_skip_is_no_failure_at_home(tmp_path: Path) -> None:
    ended = run_pytest(tmp_path, SKIPS["in-the-test"], ci="")
    assert ended.returncode == 0
    assert "1 skipped" in ended.stdout


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    assert run_pytest(tmp_path, EXPECTED_FAILURE, ci="true").returncode == 0
