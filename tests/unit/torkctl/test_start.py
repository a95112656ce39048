"""What a command imports before it needs it, and that streams may be closed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HEAVY = ["httpx2", "rich.table", "yaml", "textual", "tork.definition", "torkd", "asyncio", "msgspec"]


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["submit", "--help"]], ids=" ".join)
def test_nothing_heavy_is_imported_before_it_is_needed(arguments: list[str]) -> None:
    ran = _run(
        f"import sys; from torkctl.cli import run_command_line; run_command_line({arguments!r});"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    assert ran.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "> /dev/full"])
def test_streams_that_can_not_be_written_to_make_no_traceback(redirection: str) -> None:
    ran = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m torkctl health -e http://127.0.0.1:1 {redirection}"],
        capture_output=True, text=True, cwd=ROOT, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 5
    assert "Traceback" not in ran.stderr


def test_an_error_nobody_foresaw_is_a_sentence_and_leaves_the_outcome_unknown() -> None:
    ran = _run("from torkctl.__main__ import guarded; raise SystemExit(guarded(lambda: 1 // 0))")
    assert ran.returncode == 5
    assert "ZeroDivisionError" in ran.stderr
    assert "Traceback" not in ran.stderr
