from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.support.messages import a_report
from torkd.broker.memory import MemoryBroker
from torkd.worker import report as report_module
from torkd.worker.report import MAX_REPEATED, MAX_REPEATED_LENGTH, Reporter


@pytest.fixture
def reporter(monkeypatch: pytest.MonkeyPatch) -> Reporter:
    monkeypatch.setattr(report_module, "REPEAT_AFTER_SECONDS", 0.0)
    broker = MemoryBroker()
    broker.open()
    return Reporter(broker)


def test_every_report_is_repeated_in_turn_when_there_are_too_many_for_one_heartbeat(reporter: Reporter) -> None:
    run_ids = [f"r{number}" for number in range(MAX_REPEATED + 20)]
    for run_id in run_ids:
        reporter.send([], a_report(run_id))
    first, second = reporter.to_repeat(), reporter.to_repeat()
    assert [report.run_id for report in first] == run_ids[:MAX_REPEATED]
    assert {report.run_id for report in (*first, *second)} == set(run_ids)


def test_large_reports_are_repeated_one_at_a_time(reporter: Reporter) -> None:
    for run_id in ("r1", "r2"):
        reporter.send([], replace(a_report(run_id), result="x" * MAX_REPEATED_LENGTH))
    assert [report.run_id for report in (*reporter.to_repeat(), *reporter.to_repeat())] == ["r1", "r2"]


def test_what_is_acknowledged_is_not_repeated(reporter: Reporter) -> None:
    reporter.send([], a_report("r1"))
    reporter.forget(["r1", "unknown"])
    assert reporter.to_repeat() == []


def test_young_reports_are_not_repeated() -> None:
    broker = MemoryBroker()
    broker.open()
    reporter = Reporter(broker)
    reporter.send([], a_report("r1"))
    assert reporter.to_repeat() == []
    assert reporter.unacknowledged_count == 1
