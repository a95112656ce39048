"""The cluster on one screen: figures, rates, and what is not known."""

from __future__ import annotations

from torkctl.figures import count, per_second, read_figures
from torkctl.output.top import overview

BEFORE = """# HELP tork_jobs_ended_total Jobs that have ended.
# TYPE tork_jobs_ended_total counter
tork_jobs_ended_total{state="COMPLETED"} 10.0
tork_tasks_ended_total{state="COMPLETED"} 50.0
"""
NOW = """tork_jobs_ended_total{state="COMPLETED"} 14.0
tork_jobs_ended_total{state="FAILED"} 1.0
tork_tasks_ended_total{state="COMPLETED"} 40.0
tork_jobs{state="RUNNING"} 3.0
tork_jobs{state="PENDING"} 1.0
tork_jobs{state="SCHEDULED"} 2.0
tork_jobs_stored 1e+06
"""


def test_what_runs_waits_and_ends_is_read_from_the_figures() -> None:
    seen = overview(read_figures(NOW), read_figures(BEFORE), 2, queues=[], nodes=[], running=[], failed=[])
    assert [line.split() for line in seen.lines()[1:]] == [
        ["jobs", "3", "3", "2.0", "0.5"],
        ["tasks", "0", "0", "-", "0.0"],
    ]


def test_a_counter_that_shrank_or_is_not_there_has_no_rate() -> None:
    before, now = read_figures(BEFORE), read_figures(NOW)
    assert per_second("tork_tasks_ended_total", "COMPLETED", before, now, 2) is None
    assert per_second("tork_nothing", "", before, now, 2) is None


def test_what_the_server_can_not_look_up_is_not_told_as_nothing() -> None:
    assert count("tork_jobs", read_figures('{"jobs": {"running": 1}}'), "RUNNING") is None
    assert count("tork_jobs", read_figures(BEFORE), "RUNNING") is None
