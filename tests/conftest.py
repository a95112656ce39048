"""What holds for every test: no setting of the developer's shell reaches it, how many examples are tried, and no skip in CI.

A missing server may be skipped at home. With `CI=true` a skip is a failure: nobody would read that it was never tried.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.waiting import wait_until

pytest_plugins = ["tests.support.engine_fixtures", "tests.support.rabbitmq_fixtures"]

for name in [name for name in os.environ if name.startswith(("TORK_", "GITHUB_", "GITLAB_", "BUILDKITE", "CIRCLE"))]:
    del os.environ[name]

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile("default", max_examples=40, deadline=None, suppress_health_check=_SLOW, database=None)
settings.register_profile("long", parent=settings.get_profile("default"), max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


# A shell ignores it for what runs in its background, and so would every program that a test starts and then interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# As in the daemons: with Python's own 5 ms, threads that do much and wait much spend a test's time waiting for each other.
sys.setswitchinterval(0.0005)


@pytest.fixture(autouse=True)
def _no_worker_is_left() -> Iterator[None]:
    """A worker whose broker is gone, and that nobody stops, asks for tasks without a rest: beside every later test."""
    before = set(threading.enumerate())
    yield

    def left() -> list[str]:
        return [thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("worker-")]

    wait_until(lambda: not left(), timeout=5, describe=lambda: f"a worker was not stopped: {left()}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Three for two processors: a good part of the time goes by in waiting for daemons, leases and containers."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    processors = os.cpu_count() or 1
    return processors + (processors + 1) // 2


SKIPS_FAIL = os.environ.get("CI", "").lower() == "true"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that is skipped fails in CI."""
    report = yield
    if SKIPS_FAIL and report.skipped and not hasattr(report, "wasxfail"):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """So does a module that skips itself."""
    report = yield
    if SKIPS_FAIL and report.skipped:
        _fail(report)
    return report


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"with CI=true nothing may be skipped: {reason}"
