"""Whether a case came out as it says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.container_bench import Bench, Ended
from tests.support.container_cases import Case, Expectation, expectation_of, read_differences


def cases_among(items: Sequence[pytest.Item], path: Path) -> set[str]:
    """The names of the cases that this test run is to try in the file."""
    calls = [
        item.callspec
        for item in items
        if item.path == path and isinstance(item, pytest.Function) and hasattr(item, "callspec")
    ]
    return {str(call.params["name"]) for call in calls}


def check_case(bench: Bench, name: str, case: Case) -> None:
    """Wait for its job and compare; nothing of it may be left."""
    differences = read_differences().get(name, [])
    expected = expectation_of(case, differences, {bench.engine.name, *machine_traits()}, bench.words)
    if expected.refused:
        told = bench.refused.get(name, "it was taken")
        assert [part for part in expected.refused if part not in told] == [], told
        return
    ended = bench.wait(name)
    seen = f"{ended.job.get('error', '')}\n--- log\n{ended.log[-3000:]}"
    assert ended.job["state"] == expected.state, seen
    _check_results(ended, expected)
    _check_log(ended, expected)
    error = ended.job.get("error", "")
    if expected.error is not None:
        assert error == expected.error
    for part in expected.error_has:
        assert part in error, error
    if expected.attempts is not None:
        assert _attempts(ended) == expected.attempts
    assert list(ended.left) == []


def machine_traits() -> set[str]:
    """What `differences.yaml` may say of the machine."""
    status = Path("/proc/self/status").read_text()
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    rights = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    return set() if rights == (2 << last) - 1 else {"few rights"}


def _check_results(ended: Ended, expected: Expectation) -> None:
    tasks: list[dict[str, Any]] = list(ended.job["execution"])
    if expected.result is not None:
        result = ended.job["result"] if ended.job.get("output") else tasks[-1].get("result", "")
        assert result == expected.result
    for name, wanted in expected.results.items():
        found = [task.get("result", "") for task in tasks if task.get("name") == name]
        assert found == [wanted], name


def _check_log(ended: Ended, expected: Expectation) -> None:
    if expected.whole_log is not None:
        assert ended.log == expected.whole_log
    rest = ended.log
    for line in expected.log:
        _, found, rest = rest.partition(line)
        assert found, f"{line!r} is not in, or not after what comes before it in\n{ended.log[-5000:]}"
    for text in expected.absent:
        assert text not in ended.log


def _attempts(ended: Ended) -> int:
    tasks = ended.job["execution"]
    return len([task for task in tasks if task.get("name") == tasks[-1].get("name")])
