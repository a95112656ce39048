"""Whatever happens to connections and servers, no line is lost or repeated and no end is invented."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest

from tests.support.fake_api import FakeApi
from tests.support.torkctl_runs import Torkctl, meanwhile
from tests.support.waiting import wait_until
from tork.log import TaskLogPart
from torkctl.client import Api, Patience, Transport, follow_job, follow_log
from torkctl.client.following import SeenParts
from torkctl.errors import NoAnswer
from torkctl.settings import Credentials
from torkctl.waiting import Wait

JOB = "a" * 32
LINES = [f"line {number}" for number in range(1, 31)]


def _print_all(fake_api: FakeApi, job_id: str) -> None:
    for line in LINES:
        fake_api.log(job_id, line + "\n")


def _cut(fake_api: FakeApi) -> None:
    fake_api.fail("/log/stream", "cut", after_events=7)
    fake_api.fail("/log/stream", "cut", after_events=0)
    fake_api.fail("/log/stream", "cut", after_events=11)


def _close(fake_api: FakeApi) -> None:
    fake_api.fail("/log/stream", "close", after_events=5, times=3)


def _gateway(fake_api: FakeApi) -> None:
    fake_api.fail("/log/stream", "status", status=502, times=2)
    fake_api.fail("/log/stream", "cut", after_events=9)
    fake_api.fail("/log/stream", "status", status=503, times=2, headers={"Retry-After": "0"})
    fake_api.fail(JOB, "status", status=502, times=2)
    fake_api.fail("/events", "cut", after_events=1)


def _no_streams(fake_api: FakeApi) -> None:
    fake_api.has_streams = False


def _no_streams_and_gateway(fake_api: FakeApi) -> None:
    fake_api.has_streams = False
    fake_api.fail("/log", "status", status=502, times=2)
    fake_api.fail(JOB, "drop", times=2)


TROUBLES = [lambda _fake: None, _cut, _close, _gateway, _no_streams, _no_streams_and_gateway]
IDS = ["none", "cut", "closed early", "bad gateway", "no streams", "no streams and bad gateway"]


@pytest.mark.parametrize("trouble", TROUBLES, ids=IDS)
def test_follow_shows_each_line_once_and_the_true_end(
    fake_api: FakeApi, torkctl: Torkctl, trouble: Callable[[FakeApi], None]
) -> None:
    fake_api.add_job(JOB)
    fake_api.add_task(JOB, "t1", name="build")
    trouble(fake_api)

    def work() -> None:
        wait_until(lambda: fake_api.requests)
        _print_all(fake_api, JOB)
        fake_api.end(JOB)

    with meanwhile(work):
        ran = torkctl("logs", "-f", JOB)
    assert (ran.code, ran.out.splitlines()) == (0, LINES)


@pytest.mark.parametrize("trouble", TROUBLES, ids=IDS)
def test_submit_and_follow_shows_each_line_once_and_the_true_end(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str, trouble: Callable[[FakeApi], None]
) -> None:
    trouble(fake_api)

    def work() -> None:
        wait_until(lambda: fake_api.jobs)
        [job_id] = fake_api.jobs
        fake_api.add_task(job_id, "t1", name="build")
        _print_all(fake_api, job_id)
        fake_api.add_task(job_id, "t1", name="build", state="FAILED", error="exit code 2: boom")
        fake_api.end(job_id, "FAILED")

    with meanwhile(work):
        ran = torkctl("submit", "-f", job_file)
    assert (ran.code, ran.out.splitlines()) == (1, LINES)
    assert ran.err.splitlines()[-1].endswith("FAILED after 3.2s: task 'build': exit code 2: boom")


def test_a_restarted_server_is_survived(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    def work() -> None:
        wait_until(lambda: fake_api.requests_to("/log/stream") and fake_api.requests_to("/events"))
        [job_id] = fake_api.jobs
        for number, line in enumerate(LINES):
            if number in {10, 20}:
                fake_api.stop()
                fake_api.start()
            fake_api.log(job_id, line + "\n")
        fake_api.stop()
        fake_api.end(job_id)
        fake_api.start()

    with meanwhile(work):
        ran = torkctl("submit", "--follow", job_file)
    assert (ran.code, ran.out.splitlines()) == (0, LINES)
    assert "trying again" in ran.err
    assert "answers again" in ran.err


def test_a_stream_resumes_after_the_last_part_it_handed_on(fake_api: FakeApi, torkctl: Torkctl) -> None:
    fake_api.add_job(JOB)
    _print_all(fake_api, JOB)
    fake_api.end(JOB)
    fake_api.fail("/log/stream", "cut", after_events=12)
    assert torkctl("logs", "-f", JOB).out.splitlines() == LINES
    resumed = [request.headers.get("last-event-id") for request in fake_api.requests_to("/log/stream")]
    assert resumed == [None, "12"]


def test_a_log_without_streams_is_read_until_the_job_has_ended(fake_api: FakeApi, torkctl: Torkctl) -> None:
    fake_api.has_streams = False
    fake_api.add_job(JOB)
    fake_api.log(JOB, "early\n")

    def work() -> None:
        wait_until(lambda: len(fake_api.requests_to("/log")) >= 2)
        fake_api.log(JOB, "late\n")
        fake_api.end(JOB)

    with meanwhile(work):
        assert torkctl("logs", "-f", JOB).out.splitlines() == ["early", "late"]


def test_a_stream_that_can_not_resume_is_read_again_without_repeating(fake_api: FakeApi, torkctl: Torkctl) -> None:
    fake_api.add_job(JOB)
    _print_all(fake_api, JOB)
    fake_api.end(JOB)
    fake_api.fail("/log/stream", "reset", after_events=6)
    assert torkctl("logs", "-f", JOB).out.splitlines() == LINES
    assert [request.headers.get("last-event-id") for request in fake_api.requests_to("/log/stream")] == [None, None]


def test_a_job_whose_stream_can_not_resume_is_asked_for_again(fake_api: FakeApi, torkctl: Torkctl) -> None:
    fake_api.add_job(JOB)
    fake_api.fail("/events", "reset", after_events=1)

    def end() -> None:
        wait_until(lambda: len(fake_api.requests_to("/events")) == 2)
        fake_api.end(JOB)

    with meanwhile(end):
        assert torkctl("wait", JOB).code == 0
    assert [request.headers.get("last-event-id") for request in fake_api.requests_to("/events")] == [None, None]


def test_a_silent_stream_is_taken_for_dead_and_opened_again(fake_api: FakeApi) -> None:
    fake_api.add_job(JOB)
    _print_all(fake_api, JOB)
    fake_api.end(JOB)
    fake_api.fail("/log/stream", "stall", after_events=4)
    transport = Transport(fake_api.url, Credentials(), silence_seconds=0.2)
    patience = Patience(window_seconds=20)
    parts = list(follow_log(Api(transport, lambda: patience), f"/jobs/{JOB}", patience, is_active=lambda: True))
    transport.close()
    assert [part.contents for part in parts] == [line + "\n" for line in LINES]


def test_a_job_is_followed_through_a_silent_stream(fake_api: FakeApi) -> None:
    fake_api.add_job(JOB)
    fake_api.fail("/events", "stall", after_events=1)
    transport = Transport(fake_api.url, Credentials(), silence_seconds=0.2)
    patience = Patience(window_seconds=20)
    states = []
    for seen in follow_job(Api(transport, lambda: patience), JOB, patience):
        states.append(str(seen.state))
        if len(states) == 1:
            fake_api.end(JOB, "CANCELLED")
    transport.close()
    assert states == ["RUNNING", "CANCELLED"]


def test_a_submission_whose_answer_is_lost_is_repeated_under_the_same_key(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str
) -> None:
    fake_api.fail("/jobs", "drop", method="POST", times=2, carry_out=True)
    ran = torkctl("submit", "-o", "name", job_file)
    assert (ran.code, len(fake_api.jobs), len(ran.out.splitlines())) == (0, 1, 1)
    keys = {request.headers["idempotency-key"] for request in fake_api.requests_to("/jobs", "POST")}
    assert len(fake_api.requests_to("/jobs", "POST")) == 3
    assert len(keys) == 1


def test_two_submissions_have_keys_of_their_own_unless_one_is_given(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str
) -> None:
    for key in ([], [], ["--idempotency-key", "nightly"], ["--idempotency-key", "nightly"]):
        assert torkctl("submit", *key, job_file).code == 0
    assert len(fake_api.jobs) == 3


@pytest.mark.parametrize(("verb", "before"), [("cancel", "RUNNING"), ("restart", "FAILED")])
def test_a_change_whose_answer_is_lost_is_not_called_refused(
    fake_api: FakeApi, torkctl: Torkctl, verb: str, before: str
) -> None:
    fake_api.add_job(JOB, state=before)
    fake_api.fail(f"/{verb}", "drop", method="PUT", carry_out=True)
    assert torkctl(verb, JOB).code == 0


def test_no_request_outlives_the_window_without_any_answer() -> None:
    now = [0.0]
    patience = Patience(window_seconds=10, clock=lambda: now[0])
    patience.stop = _Jumping(now)
    attempts = 0
    with pytest.raises(NoAnswer):  # noqa: PT012 - the loop is what is tested
        while True:
            attempts += 1
            patience.failed(NoAnswer("away"))
    assert now[0] == pytest.approx(10)
    assert attempts > 5


def test_an_answer_opens_a_new_window() -> None:
    now = [0.0]
    patience = Patience(window_seconds=10, clock=lambda: now[0])
    patience.stop = _Jumping(now)
    for _ in range(50):
        patience.failed(NoAnswer("away"))
        patience.answered()
    assert now[0] > 10


class _Jumping(threading.Event):
    """Waiting takes no time; the clock jumps."""

    def __init__(self, now: list[float]) -> None:
        super().__init__()
        self._now = now

    def wait(self, timeout: float | None = None) -> bool:
        self._now[0] += timeout or 0.0
        return False


def test_parts_are_known_again_in_any_order_and_across_runs() -> None:
    seen = SeenParts()
    numbers = [("a", 3), ("a", 1), ("b", 1), ("a", 2), ("a", 4)]
    parts = [TaskLogPart(task_id="t", run=run, number=number, contents="") for run, number in numbers]
    assert all(seen.add(part) for part in parts)
    assert not any(seen.add(part) for part in parts)
    assert seen.count == len(parts)


def test_the_end_of_a_job_is_told_after_its_last_line(fake_api: FakeApi) -> None:
    fake_api.add_job(JOB)
    fake_api.log(JOB, "late\n")
    fake_api.end(JOB)
    fake_api.fail("/log/stream", "status", status=503, times=3)
    transport = Transport(fake_api.url, Credentials())
    told: list[object] = []
    wait = Wait(
        api=Api(transport, lambda: Patience(window_seconds=20)),
        job_ids=[JOB],
        with_logs=True,
        show=told.append,
        tell_ending=told.append,
    )
    [outcome] = wait.run()
    transport.close()
    assert [type(thing).__name__ for thing in told[-4:]] == ["LogSeen", "LogDone", "JobSeen", "JobSummary"]
    assert outcome.code == 0


def test_json_lines_tell_everything_in_order_as_documents(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    def end(job_id: str) -> None:
        fake_api.add_task(job_id, "t1", name="build", state="COMPLETED")
        fake_api.log(job_id, "hi\n")
        fake_api.end(job_id)

    fake_api.on_submit = end
    ran = torkctl("submit", "--follow", "-o", "jsonl", job_file)
    events = [json.loads(line) for line in ran.out.splitlines()]
    assert {event["event"] for event in events} >= {"log", "end"}
    [log] = [event["data"] for event in events if event["event"] == "log"]
    assert (log["contents"], log["taskId"]) == ("hi\n", "t1")
