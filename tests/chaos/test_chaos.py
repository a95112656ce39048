"""A short storm: what `make chaos` does for an hour, for a few minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.rounds import run_rounds
from tests.support.cluster import Servers

FAULTS = 30
SEED = 20261126

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(900)]


def test_nothing_is_lost_doubled_stuck_or_left_in_a_storm_of_faults(tmp_path: Path) -> None:
    told: list[str] = []
    with Servers.start() as servers:
        report = run_rounds(servers, tmp_path, faults=FAULTS, seed=SEED, tell=told.append)
    assert report.wrong == [], "\n".join([report.table(), *told])
    assert report.fault_count >= FAULTS
    assert all(report.jobs.values())
