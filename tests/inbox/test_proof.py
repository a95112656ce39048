"""A small proof: what `make watch-proof` does for minutes, for seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inbox.proof import run_proof

FILES, DROPPERS, KILLS = 60, 5, 6
PAUSE_SECONDS = 1.0
SEED = 20261126


@pytest.mark.timeout(300)
def test_nothing_is_lost_doubled_or_half_written_while_watchers_and_server_are_killed(tmp_path: Path) -> None:
    told: list[str] = []
    report = run_proof(
        tmp_path, files=FILES, droppers=DROPPERS, pause=PAUSE_SECONDS, kills=KILLS, seed=SEED, tell=told.append
    )
    assert report.wrong == [], "\n".join([report.table(), *told])
    assert report.files >= FILES
    assert report.kills.total() >= KILLS // 2
    assert report.contents
    assert report.invalid
