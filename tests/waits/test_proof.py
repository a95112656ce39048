"""A small proof: what `make wait-proof` does for minutes, for half a minute."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cluster import Servers
from tests.waits.proof import run_proof

RUNS, BESIDE_EACH_OTHER = 30, 12
HALF_OPEN_SECONDS = 3.0
LONGEST_PEACE_SECONDS = 5.0
SEED = 20261126

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(600)]


def test_exit_codes_and_logs_are_the_databases_through_a_bad_network_while_everything_is_killed(tmp_path: Path) -> None:
    told: list[str] = []
    with Servers.start() as servers:
        report = run_proof(
            servers,
            tmp_path,
            runs=RUNS,
            beside_each_other=BESIDE_EACH_OTHER,
            half_open_seconds=HALF_OPEN_SECONDS,
            longest_peace_seconds=LONGEST_PEACE_SECONDS,
            seed=SEED,
            tell=told.append,
        )
    assert report.wrong == [], "\n".join([report.table(), *told])
    assert len(report.runs) == RUNS
    assert report.lines
    assert report.faults
    assert report.kills
