"""Every row of the exit code table, and what several jobs come to."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_api import FakeApi
from tests.support.interrupts import interruptible
from tests.support.torkctl_runs import Torkctl, meanwhile
from tests.support.waiting import wait_until
from tork.errors import DefinitionError, NotFound, SettingsError, StateConflict, TorkError
from torkctl import settings
from torkctl.diagnostics import ExitCode, exit_code_of, worst
from torkctl.errors import Denied, NoAnswer, OutOfTime, Refused, UsageProblem

DEAD = "http://127.0.0.1:1"


@pytest.mark.parametrize(("state", "code"), [("COMPLETED", 0), ("FAILED", 1), ("CANCELLED", 3)])
@pytest.mark.parametrize("flag", ["--wait", "--follow"])
def test_submit_exits_with_what_became_of_the_job(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str, state: str, code: int, flag: str
) -> None:
    fake_api.on_submit = lambda job_id: fake_api.end(job_id, state)
    assert torkctl("submit", flag, job_file).code == code


@pytest.mark.parametrize(("state", "code"), [("COMPLETED", 0), ("FAILED", 1), ("CANCELLED", 3)])
def test_wait_exits_with_what_became_of_the_job(fake_api: FakeApi, torkctl: Torkctl, state: str, code: int) -> None:
    fake_api.add_job("a" * 32, state=state)
    assert torkctl("wait", "a" * 32).code == code


@pytest.mark.parametrize(
    ("states", "code"),
    [
        (["COMPLETED", "COMPLETED"], 0),
        (["CANCELLED", "COMPLETED"], 3),
        (["CANCELLED", "FAILED", "COMPLETED"], 1),
    ],
)
def test_several_jobs_exit_with_the_worst_after_all_have_ended(
    fake_api: FakeApi, torkctl: Torkctl, states: list[str], code: int
) -> None:
    ids = [fake_api.add_job(f"{number:032x}", state=state) for number, state in enumerate(states)]
    ran = torkctl("wait", "-o", "jsonl", *ids)
    assert ran.code == code
    assert [json.loads(line)["id"] for line in ran.out.splitlines()] == ids


@pytest.mark.parametrize("status", [400, 407, 410, 413, 418, 422, 451])
def test_a_wait_that_is_refused_is_unknown_and_never_success(fake_api: FakeApi, torkctl: Torkctl, status: int) -> None:
    job_id = fake_api.add_job("a" * 32, state="RUNNING")
    fake_api.fail("", "status", status=status, times=1000, body=b'{"message":"no"}')
    assert torkctl("wait", job_id).code == 5


def test_a_name_can_not_steer_the_terminal_or_forge_a_line(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    fake_api.on_submit = lambda job_id: fake_api.end(job_id, "FAILED", error="\x1b]0;title\x07 red\x1b[31m")
    ran = torkctl("submit", "--follow", "--name", "evil\x1b[2Jname\nerror: forged", job_file)
    assert ran.code == 1
    assert not set(ran.err) & {"\x1b", "\x07"}
    assert "\nerror: forged" not in ran.err


def test_worst_is_the_first_that_applies_whatever_the_order() -> None:
    ranking = [130, 5, 124, 2, 6, 4, 1, 3, 0]
    assert set(ranking) == set(ExitCode)
    for best, worse in itertools.combinations(reversed(ranking), 2):
        assert worst([ExitCode(best), ExitCode(worse)]) == worst([ExitCode(worse), ExitCode(best)]) == worse


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageProblem("x"), 2),
        (DefinitionError(["x"]), 2),
        (SettingsError("x"), 2),
        (Refused("x"), 2),
        (StateConflict("x"), 1),
        (NotFound("x"), 4),
        (NoAnswer("x"), 5),
        (Denied("x"), 6),
        (OutOfTime("x"), 124),
        (KeyboardInterrupt(), 130),
        (TorkError("x"), 5),
        (RuntimeError("x"), 5),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_every_error_has_its_code(error: BaseException, code: int) -> None:
    assert exit_code_of(error) == code


@pytest.mark.parametrize(
    "arguments",
    [["frobnicate"], ["wait"], ["list", "-o", "xml"], ["list", "-e", "localhost"], ["list", "--state", "DONE"],
     ["wait", "abc"], ["wait", "a" * 32, "--timeout", "soon"], ["submit", "nofile.yaml"], ["list", "--page", "0"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_2_in_one_sentence(fake_api: FakeApi, torkctl: Torkctl, arguments: list[str]) -> None:
    ran = torkctl(*arguments)
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 1)


def test_a_wrong_definition_is_2_and_nothing_is_sent(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    Path("bad.yaml").write_text("name: x\ntasks:\n  - name: y\n    imag: z\n    rnu: z\n")
    ran = torkctl("submit", job_file, "bad.yaml")
    assert ran.code == 2
    assert [line.split(":")[:2] for line in ran.err.splitlines()] == [["bad.yaml", "4"], ["bad.yaml", "5"]]
    assert not fake_api.requests


@pytest.mark.parametrize(
    ("status", "code"), [(400, 2), (413, 2), (422, 2), (401, 6), (403, 6), (429, 5), (500, 5), (503, 5)]
)
def test_a_refused_submission_exits_with_the_code_for_its_status(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str, status: int, code: int
) -> None:
    fake_api.fail("/jobs", "status", status=status, times=99, method="POST", body=b'{"message":"no, thank you"}')
    ran = torkctl("submit", "--retry-for", "0s", job_file)
    assert (ran.code, ran.out) == (code, "")
    assert "no, thank you" in ran.err or status == 413


def test_a_missing_key_is_not_authenticated_although_the_server_says_400(fake_api: FakeApi, torkctl: Torkctl) -> None:
    fake_api.fail("/jobs", "status", status=400, body=b'{"message":"missing key in request header"}')
    assert torkctl("list").code == 6


@pytest.mark.parametrize("command", [["get"], ["logs"], ["wait"], ["cancel"], ["restart"]], ids=" ".join)
@pytest.mark.parametrize("reference", ["f" * 32, "abcdef", "@last"])
def test_what_does_not_exist_is_4(fake_api: FakeApi, torkctl: Torkctl, command: list[str], reference: str) -> None:
    ran = torkctl(*command, reference)
    assert (ran.code, ran.out) == (4, "")


def test_a_job_that_vanishes_while_it_is_waited_for_is_4(fake_api: FakeApi, torkctl: Torkctl) -> None:
    job_id = fake_api.add_job("a" * 32)

    def vanish() -> None:
        wait_until(lambda: fake_api.requests_to("/events"))
        with fake_api.changed:
            del fake_api.jobs[job_id]
            fake_api.changed.notify_all()

    with meanwhile(vanish):
        assert torkctl("wait", job_id).code == 4


@pytest.mark.parametrize(
    "arguments",
    [["list"], ["health"], ["get", "a" * 32], ["wait", "a" * 32], ["cancel", "a" * 32]],
    ids=lambda value: value[0],
)
def test_an_unreachable_server_is_5_and_never_failed(torkctl: Torkctl, arguments: list[str]) -> None:
    ran = torkctl(*arguments, "--endpoint", DEAD, "--retry-for", "0.2s")
    assert (ran.code, ran.out) == (5, "")
    assert "can't be reached" in ran.err


@pytest.mark.parametrize("flag", ["--follow", "--wait"])
def test_a_wrong_address_is_given_up_soon_with_what_to_do(
    torkctl: Torkctl, job_file: str, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    monkeypatch.delenv("TORK_CLIENT_RETRY_FOR")
    monkeypatch.setattr(settings, "REQUEST_RETRY_SECONDS", 0.2)
    ran = torkctl("submit", flag, job_file, "-e", DEAD)
    assert (ran.code, ran.out) == (5, "")
    assert "for up to 0.2s" in ran.err
    assert all(way in ran.err for way in ("torkd run standalone", "--endpoint", "TORK_CLIENT_ENDPOINT"))


def test_a_server_that_has_taken_the_job_is_waited_for_longer(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORK_CLIENT_RETRY_FOR")

    def leave_for_a_moment(job_id: str) -> None:
        fake_api.end(job_id)
        fake_api.fail(job_id, "drop", times=2)

    fake_api.on_submit = leave_for_a_moment
    ran = torkctl("submit", "--wait", job_file)
    assert ran.code == 0
    assert "trying again for up to 60s" in ran.err


def test_a_server_that_stays_away_during_the_wait_is_5_and_says_unknown(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str
) -> None:
    fake_api.fail("/events", "drop", times=99)

    def leave(job_id: str) -> None:
        fake_api.fail(job_id, "drop", times=999)

    fake_api.on_submit = leave
    ran = torkctl("submit", "--wait", "--retry-for", "0.3s", job_file)
    assert ran.code == 5
    assert "unknown" in ran.err


@pytest.mark.parametrize("status", [200, 302, 404])
def test_a_page_that_is_not_the_api_is_5(fake_api: FakeApi, torkctl: Torkctl, status: int) -> None:
    fake_api.fail("/jobs", "status", status=status, body=b"<html>welcome</html>", times=9)
    assert torkctl("list", "--retry-for", "0s").code == 5


@pytest.mark.parametrize(
    ("status", "document", "code"), [(200, {"status": "UP", "version": "1"}, 0), (503, {"status": "DOWN"}, 1)]
)
def test_health_says_it_with_its_exit_code(
    fake_api: FakeApi, torkctl: Torkctl, status: int, document: dict[str, str], code: int
) -> None:
    fake_api.health = (status, document)
    ran = torkctl("health", "-o", "name")
    assert (ran.code, ran.out) == (code, document["status"] + "\n")


def test_health_of_a_bad_gateway_is_unknown(fake_api: FakeApi, torkctl: Torkctl) -> None:
    fake_api.fail("/health", "status", status=502)
    assert torkctl("health").code == 5


@pytest.mark.parametrize("command", [["submit", "--wait"], ["submit", "--follow"], ["submit"]], ids=" ".join)
def test_time_that_runs_out_is_124_and_the_job_goes_on(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str, command: list[str]
) -> None:
    ran = torkctl(*command, "--timeout", "100ms", job_file)
    assert ran.code == 124
    assert "goes on" in ran.err
    assert not fake_api.requests_to("/cancel", "PUT")


def test_a_log_that_never_pauses_does_not_stop_the_clock(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    def print_much(job_id: str) -> None:
        for number in range(3000):
            fake_api.log(job_id, f"line {number}\n")

    fake_api.on_submit = print_much
    assert torkctl("submit", "--follow", "--timeout", "50ms", job_file).code == 124


def test_any_ends_with_the_first_job(fake_api: FakeApi, torkctl: Torkctl) -> None:
    running, failed = fake_api.add_job("a" * 32), fake_api.add_job("b" * 32, state="FAILED")
    ran = torkctl("wait", "--any", running, failed, "-o", "name")
    assert (ran.code, ran.out) == (1, failed + "\n")


@pytest.mark.parametrize(
    ("task", "code"),
    [
        ({"state": "FAILED", "error": "exit code 42: oh no"}, 42),
        ({"state": "FAILED", "error": "timed out"}, 1),
        ({"state": "COMPLETED"}, 0),
        ({"state": "CANCELLED"}, 1),
    ],
    ids=["its own", "failed without a code", "completed in a failed job", "never ended: the job's"],
)
def test_exit_code_from_is_the_tasks_own(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str, task: dict[str, str], code: int
) -> None:
    def end(job_id: str) -> None:
        fake_api.add_task(job_id, "t1", name="build", **task)
        fake_api.end(job_id, "FAILED")

    fake_api.on_submit = end
    assert torkctl("submit", "--exit-code-from", "build", job_file).code == code


@pytest.mark.parametrize(
    ("children", "code"),
    [
        ([("COMPLETED", ""), ("FAILED", "exit code 9: x"), ("COMPLETED", "")], 9),
        ([("COMPLETED", ""), ("SKIPPED", "")], 0),
        ([("COMPLETED", ""), ("CANCELLED", "")], 1),
    ],
    ids=["one failed", "all well", "one was cancelled: the job's code"],
)
def test_exit_code_from_several_tasks_is_that_of_the_one_that_failed(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str, children: list[tuple[str, str]], code: int
) -> None:
    def end(job_id: str) -> None:
        fake_api.add_task(job_id, "p", name="all", state="FAILED", each={"size": len(children)})
        for number, (state, error) in enumerate(children):
            fake_api.add_task(job_id, f"c{number}", parentId="p", name="build", state=state, error=error)
        fake_api.end(job_id, "FAILED", error="a child failed")

    fake_api.on_submit = end
    assert torkctl("submit", "--exit-code-from", "build", job_file).code == code


def test_exit_code_from_a_task_that_is_not_there_is_refused_before_anything_is_sent(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str
) -> None:
    ran = torkctl("submit", "--exit-code-from", "biuld", job_file)
    assert (ran.code, fake_api.requests) == (2, [])
    assert "build" in ran.err


def test_cancel_and_restart_refused_by_the_state_are_1(fake_api: FakeApi, torkctl: Torkctl) -> None:
    job_id = fake_api.add_job("a" * 32, state="COMPLETED")
    assert torkctl("cancel", job_id).code == 1
    assert torkctl("restart", job_id).code == 1


def test_cancelling_several_goes_on_after_a_refusal(fake_api: FakeApi, torkctl: Torkctl) -> None:
    ended, running = fake_api.add_job("a" * 32, state="FAILED"), fake_api.add_job("b" * 32)
    ran = torkctl("cancel", ended, running, "-o", "name")
    assert (ran.code, ran.out) == (1, running + "\n")
    assert fake_api.jobs[running]["state"] == "CANCELLED"


def test_a_cancelled_job_is_what_cancel_and_wait_wants(fake_api: FakeApi, torkctl: Torkctl) -> None:
    assert torkctl("cancel", "--wait", fake_api.add_job("a" * 32)).code == 0


def test_restart_and_wait_does_not_take_the_old_end_for_the_new_one(fake_api: FakeApi, torkctl: Torkctl) -> None:
    job_id = fake_api.add_job("a" * 32, state="FAILED", failedAt="2026-01-02T03:00:00Z")
    fake_api.jobs[job_id].pop("startedAt")
    answer = fake_api.summary(job_id)
    polls = iter(range(100))
    original = fake_api.summary

    def slow(asked: str) -> dict[str, Any]:
        """The restart shows only in the fourth answer."""
        if next(polls) < 3:
            return answer
        if fake_api.jobs[asked]["state"] == "RUNNING":
            fake_api.end(asked, "COMPLETED")
        return original(asked)

    fake_api.summary = slow  # type: ignore[method-assign,assignment] # a server of this test alone
    assert torkctl("restart", "--wait", job_id).code == 0


def _start(fake_api: FakeApi, *arguments: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "TORK_CLIENT_ENDPOINT": fake_api.url}
    with interruptible():
        return subprocess.Popen(
            [sys.executable, "-m", "torkctl", *arguments],
            env=environ, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
@pytest.mark.parametrize("cancels", [False, True], ids=["goes on", "is cancelled"])
def test_an_interrupt_is_130_and_the_job_goes_on_unless_told(
    fake_api: FakeApi, job_file: str, signal_number: signal.Signals, cancels: bool
) -> None:
    flags = ["--cancel-on-interrupt"] if cancels else []
    process = _start(fake_api, "submit", "--follow", *flags, job_file)
    try:
        wait_until(lambda: fake_api.requests_to("/log/stream"))
        process.send_signal(signal_number)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert ("being cancelled" if cancels else "goes on") in err
    assert "Traceback" not in err
    assert bool(fake_api.requests_to("/cancel", "PUT")) is cancels


def test_an_interrupted_log_ends_without_a_word(fake_api: FakeApi) -> None:
    process = _start(fake_api, "logs", "-f", fake_api.add_job("a" * 32))
    try:
        wait_until(lambda: fake_api.requests_to("/log/stream"))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (130, "", "")


def test_a_reader_that_leaves_does_not_change_the_outcome(fake_api: FakeApi, job_file: str) -> None:
    process = _start(fake_api, "submit", "--follow", job_file)
    assert process.stdout
    try:
        wait_until(lambda: fake_api.requests_to("/log/stream"))
        [job_id] = fake_api.jobs
        process.stdout.close()
        fake_api.log(job_id, "nobody reads this\n")
        fake_api.end(job_id, "FAILED")
        assert process.wait(timeout=30) == 1
        assert process.stderr
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        if process.stderr:
            process.stderr.close()


def test_a_reader_that_had_enough_is_no_error(fake_api: FakeApi) -> None:
    job_id = fake_api.add_job("a" * 32, state="COMPLETED")
    for number in range(200):
        fake_api.log(job_id, f"{number} {'x' * 2000}\n")
    process = _start(fake_api, "logs", job_id)
    try:
        assert process.stdout
        assert process.stderr
        process.stdout.read(1)
        process.stdout.close()
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        if process.stderr:
            process.stderr.close()
