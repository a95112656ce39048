"""All black-box cases on Docker: see `tests/support/container_cases.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.container_bench import Bench, open_bench
from tests.support.container_cases import read_cases
from tests.support.container_checks import cases_among, check_case
from tests.support.engines import ContainerEngine
from tests.support.registry import Registry

CASES = read_cases()
pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest, docker_engine: ContainerEngine, registry: Registry) -> Iterator[Bench]:
    """With the jobs of all cases that this test run is to try."""
    wanted = cases_among(request.session.items, Path(__file__))
    with open_bench(docker_engine, registry, {name: CASES[name] for name in CASES if name in wanted}) as opened:
        yield opened


@pytest.mark.parametrize("name", CASES)
def test_a_job_comes_to_what_its_case_says(bench: Bench, name: str) -> None:
    check_case(bench, name, CASES[name])


def test_no_directory_of_a_run_is_left(bench: Bench) -> None:
    assert bench.left_directories() == []
