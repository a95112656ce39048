"""`torkctl logs`: which lines are shown, in which order, and what is told where some are missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fake_api import FakeApi
from tests.support.torkctl_runs import Torkctl
from tork.log import TaskLogPart
from torkctl.output.logs import LineAssembler

JOB = "a" * 32


@pytest.mark.parametrize(
    ("flags", "lines"),
    [
        ([], ["build | one", "build | two", "test | three", "test | four"]),
        (["--tail", "3"], ["build | two", "test | three", "test | four"]),
        (["--tail", "0"], []),
        (["--tail", "2", "--grep", "o"], ["build | two", "test | four"]),
        (["--grep", "t"], ["build | two", "test | three"]),
        (["--since", "5m"], ["test | three", "test | four"]),
        (["--task", "test"], ["three", "four"]),
        (["--task", "build", "-t"], ["2026-01-02T03:04:06.000Z one", "2026-01-02T03:04:06.000Z two"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value and value[0].startswith("-") else "",
)
@pytest.mark.parametrize("follow", [[], ["--follow"]], ids=["", "--follow"])
def test_logs_are_filtered_as_told(
    torkctl: Torkctl, ended_job: str, flags: list[str], lines: list[str], follow: list[str]
) -> None:
    ran = torkctl("logs", ended_job, *flags, *follow)
    assert (ran.code, ran.out.splitlines()) == (0, lines)


def test_with_timestamps_the_time_is_first(torkctl: Torkctl, ended_job: str) -> None:
    assert torkctl("logs", ended_job, "-t").out.splitlines()[0] == "2026-01-02T03:04:06.000Z build | one"


def test_logs_as_documents(torkctl: Torkctl, ended_job: str) -> None:
    assert [part["number"] for part in json.loads(torkctl("logs", ended_job, "-o", "json").out)] == [1, 1, 2]
    assert len(torkctl("logs", ended_job, "-o", "jsonl", "-f").out.splitlines()) == 3
    assert torkctl("logs", ended_job, "-o", "json", "-f").code == 2


def test_logs_of_many_pages_come_in_their_order(fake_api: FakeApi, torkctl: Torkctl) -> None:
    fake_api.add_job(JOB)
    lines = [f"line {number}" for number in range(345)]
    for line in lines:
        fake_api.log(JOB, line + "\n")
    assert torkctl("logs", JOB).out.splitlines() == lines
    assert torkctl("logs", JOB, "--tail", "7").out.splitlines() == lines[-7:]


@pytest.mark.parametrize("follow", [[], ["--follow"]], ids=["", "--follow"])
def test_what_is_missing_in_a_log_is_told_where_it_is_missing(
    fake_api: FakeApi, torkctl: Torkctl, follow: list[str]
) -> None:
    fake_api.add_job(JOB)
    for run, number, text in [
        ("r1", 1, "one\ntw"),
        ("r1", 3, "ee\n"),
        ("r1", 6, "si"),
        ("r2", 1, "one\n"),
        ("r2", 2, "two"),
    ]:
        fake_api.log(JOB, text, run=run, number=number)
    fake_api.end(JOB)
    shown = torkctl("logs", JOB, *follow)
    assert shown.out.splitlines() == ["one", "tw", "ee", "si", "one", "two"], "nothing but what was printed"
    assert shown.err.splitlines() == [
        "warning: task 't1': a part of this log is missing here",
        "warning: task 't1': 2 parts of this log are missing here",
        "warning: task 't1': the run above did not finish, and the end of its log may be missing; the task runs again",
    ]
    both = _streams_as_one(fake_api, "logs", JOB, *follow)
    assert [line for line in both if not line.startswith("warning")] == shown.out.splitlines()
    assert [number for number, line in enumerate(both) if line.startswith("warning")] == [2, 4, 6], both


def _streams_as_one(fake_api: FakeApi, *arguments: str) -> list[str]:
    environ = {**os.environ, "TORK_CLIENT_ENDPOINT": fake_api.url}
    command = [sys.executable, "-m", "torkctl", *arguments]
    done = subprocess.run(
        command,
        env=environ,
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
    )
    return done.stdout.decode().splitlines()


@pytest.mark.parametrize(("tail", "lines", "warnings"), [(0, [], 0), (1, ["three"], 0), (2, ["two", "three"], 1)])
def test_what_is_missing_counts_as_no_line_of_the_tail(
    fake_api: FakeApi, torkctl: Torkctl, tail: int, lines: list[str], warnings: int
) -> None:
    fake_api.add_job(JOB)
    for number, text in [(1, "one\n"), (2, "two\n"), (4, "three\n")]:
        fake_api.log(JOB, text, run="r1", number=number)
    fake_api.end(JOB)
    shown = torkctl("logs", JOB, "--tail", str(tail))
    assert shown.out.splitlines() == lines
    assert shown.err.count("missing here") == warnings


@pytest.mark.parametrize("command", ["logs", "submit"])
def test_an_end_that_is_missing_is_told(fake_api: FakeApi, torkctl: Torkctl, job_file: str, command: str) -> None:
    fake_api.log_end = {"incomplete": True}
    fake_api.on_submit = fake_api.end
    if command == "logs":
        fake_api.end(fake_api.add_job(JOB))
    ran = torkctl("logs", "-f", JOB) if command == "logs" else torkctl("submit", "--follow", job_file)
    assert ran.code == 0
    assert "warning: not all of the log has come" in ran.err


def test_logs_of_a_task_that_is_not_there_are_4(torkctl: Torkctl, ended_job: str) -> None:
    assert torkctl("logs", ended_job, "--task", "biuld").code == 4


def test_lines_are_put_together_across_parts_and_tasks() -> None:
    assembler = LineAssembler()
    parts = [("a", "one\r\ntw"), ("b", "x"), ("a", "o"), ("a", "\n\nthree"), ("b", "y\n")]
    made = [
        (line.task_id, line.text)
        for task_id, contents in parts
        for line in assembler.lines(TaskLogPart(task_id=task_id, contents=contents))
    ]
    assert made == [("a", "one"), ("a", "two"), ("a", ""), ("b", "xy")]
    assert [line.text for line in assembler.rest()] == ["three"]
    assert assembler.rest() == []


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("rs"), st.integers(1, 4), st.text("x\n\r", max_size=5)),
        max_size=8,
    )
)
def test_a_log_as_one_text_has_the_same_lines(told: list[tuple[str, str, int, str]]) -> None:
    lines, text = LineAssembler(), LineAssembler()
    for task_id, run, number, contents in told:
        part = TaskLogPart(task_id=task_id, run=run, number=number, contents=contents)
        before, whole = text.text(part)
        said = lines.lines(part)
        assert (before, whole) == (said[: len(before)], "".join(f"{line.text}\n" for line in said[len(before) :]))
        assert text.begun == lines.begun


def test_a_line_of_many_parts_is_put_together_once() -> None:
    """It would take minutes if each part made the line anew."""
    assembler = LineAssembler()
    for _ in range(40_000):
        assert assembler.lines(TaskLogPart(task_id="a", contents="x" * 1000)) == []
    [line] = assembler.lines(TaskLogPart(task_id="a", contents="\n"))
    assert len(line.text) == 40_000_000
