"""Waiting for a sidecar, against real sockets."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.runs import RecordedLog
from tests.support.waiting import wait_until
from tork.errors import RuntimeFailure, TaskStopped
from tork.task import Probe
from torkd.runtime.containers import probe as probing
from torkd.runtime.containers.probe import wait_until_ready
from torkd.runtime.stopping import StopReason, StopSignal

HOST = "127.0.0.1"


class Sidecar:
    """Answers with one status after the other, the last for ever; 0 closes the connection, -1 keeps it waiting."""

    def __init__(self, statuses: Sequence[int]) -> None:
        self.paths: list[str] = []
        self.released = threading.Event()
        answers = itertools.chain(statuses, itertools.repeat(statuses[-1]))
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.paths.append(self.path)
                status = next(answers)
                if status < 0:
                    outer.released.wait()
                if status > 0:
                    self.send_response(status)
                    self.send_header("Location", "/elsewhere")
                    self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name in the standard library
                """Not on the terminal."""

        self.server = ThreadingHTTPServer((HOST, 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Starter:
    """Starts sidecars and ends them with the test."""

    def __init__(self) -> None:
        self.sidecars: list[Sidecar] = []

    def __call__(self, *statuses: int) -> Sidecar:
        self.sidecars.append(Sidecar(statuses))
        return self.sidecars[-1]


@pytest.fixture
def start() -> Iterator[Starter]:
    starter = Starter()
    yield starter
    for sidecar in starter.sidecars:
        sidecar.close()


@pytest.fixture
def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(probing, "FIRST_PAUSES_SECONDS", (0.001, 0.001))
    monkeypatch.setattr(probing, "_LOOK_SECONDS", 0.005)


class Waiting:
    """A wait with all it needs."""

    def __init__(self, port: int, probe: Probe) -> None:
        self.port, self.probe = port, probe
        self.log, self.stop = RecordedLog(), StopSignal()
        self.exit_code: int | None = None

    def carry_out(self) -> None:
        wait_until_ready(self.probe, HOST, self.port, log=self.log, stop=self.stop, exit_code=lambda: self.exit_code)


def waiting_for(port: int, *, path: str = "/health", timeout: str = "") -> Waiting:
    return Waiting(port, Probe(path=path, port=80, timeout=timeout))


def test_a_sidecar_that_answers_200_is_ready(start: Starter) -> None:
    sidecar = start(200)
    waiting = waiting_for(sidecar.port)
    waiting.carry_out()
    assert (sidecar.paths, waiting.log.text) == (["/health"], "")


@pytest.mark.parametrize("status", [204, 301, 404, 500])
def test_only_200_will_do_and_redirects_are_not_followed(status: int, start: Starter) -> None:
    sidecar = start(status, 200)
    waiting = waiting_for(sidecar.port)
    waiting.carry_out()
    assert sidecar.paths == ["/health", "/health"]
    assert waiting.log.text == f"probe of /health on port 80: status {status} (right would be 200)\n"


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("", "/"),
        ("health", "/health"),
        ("/a?b=c&d=%20", "/a?b=c&d=%20"),
        ("/a b", "/a%20b"),
        ("/a\r\nX: y", "/a%0D%0AX:%20y"),
        ("/é", "/%C3%A9"),
    ],
    ids=["none", "no slash", "query", "space", "line break", "accent"],
)
def test_the_path_is_asked_for_as_written_and_stays_on_its_line(path: str, asked: str, start: Starter) -> None:
    sidecar = start(200)
    waiting_for(sidecar.port, path=path).carry_out()
    assert sidecar.paths == [asked]


def test_of_quick_tries_only_the_news_are_told(start: Starter) -> None:
    sidecar = start(500, 500, 503, 503, 200)
    waiting = waiting_for(sidecar.port)
    waiting.carry_out()
    assert [line.rpartition(": ")[2][7:10] for line in waiting.log.text.splitlines()] == ["500", "503", "503"]


def test_a_connection_closed_without_an_answer_is_a_failed_try(start: Starter) -> None:
    waiting = waiting_for(start(0, 200).port)
    waiting.carry_out()
    assert waiting.log.text == "probe of /health on port 80: connection closed without an answer\n"


def test_a_probe_that_never_passes_times_out_with_the_last_reason(closed_port: int) -> None:
    waiting = waiting_for(closed_port, timeout="200ms")
    with pytest.raises(RuntimeFailure, match=r"^probe timed out after 200ms: connection refused$"):
        waiting.carry_out()
    assert waiting.log.text.startswith("probe of /health on port 80: connection refused\n")


def test_a_sidecar_that_keeps_the_connection_without_an_answer_times_out(start: Starter) -> None:
    with pytest.raises(RuntimeFailure, match=r"^probe timed out after 200ms: no answer$"):
        waiting_for(start(-1).port, timeout="200ms").carry_out()


def test_the_last_reason_is_that_of_a_whole_try(start: Starter) -> None:
    with pytest.raises(RuntimeFailure, match=r"^probe timed out after 300ms: status 500 \(right would be 200\)$"):
        waiting_for(start(500, -1).port, timeout="300ms").carry_out()


def test_a_try_without_an_answer_is_given_up_for_the_next(start: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "TRY_SECONDS", 0.05)
    sidecar = start(-1, 200)
    waiting = waiting_for(sidecar.port)
    waiting.carry_out()
    assert waiting.log.text == "probe of /health on port 80: no answer\n"


def test_a_wrong_timeout_is_refused(closed_port: int) -> None:
    with pytest.raises(RuntimeFailure, match=r"^invalid timeout duration: soon$"):
        waiting_for(closed_port, timeout="soon").carry_out()


def test_a_sidecar_that_has_ended_is_not_waited_for(closed_port: int) -> None:
    waiting = waiting_for(closed_port)
    waiting.exit_code = 3
    with pytest.raises(RuntimeFailure, match=r"^it ended with exit code 3 before its probe passed$"):
        waiting.carry_out()


def in_the_middle_of_a_try(sidecar: Sidecar, waiting: Waiting) -> tuple[threading.Thread, list[Exception]]:
    raised: list[Exception] = []

    def carry_out() -> None:
        try:
            waiting.carry_out()
        except RuntimeFailure as error:
            raised.append(error)

    thread = threading.Thread(target=carry_out)
    thread.start()
    wait_until(lambda: sidecar.paths)
    return thread, raised


def test_a_stop_ends_the_wait_in_the_middle_of_a_try(start: Starter) -> None:
    sidecar = start(-1)
    waiting = waiting_for(sidecar.port)
    thread, raised = in_the_middle_of_a_try(sidecar, waiting)
    waiting.stop.set(StopReason.CANCELLED, "cancelled")
    thread.join(20)
    assert [type(error) for error in raised] == [TaskStopped]


def test_the_sidecars_end_ends_the_wait_in_the_middle_of_a_try(start: Starter) -> None:
    sidecar = start(-1)
    waiting = waiting_for(sidecar.port)
    thread, raised = in_the_middle_of_a_try(sidecar, waiting)
    waiting.exit_code = 0
    thread.join(20)
    assert [str(error) for error in raised] == ["it ended with exit code 0 before its probe passed"]


def test_no_thread_is_left_of_a_try_that_was_given_up(start: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "TRY_SECONDS", 1000.0)
    with pytest.raises(RuntimeFailure):
        waiting_for(start(-1).port, timeout="20ms").carry_out()
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name == "probe"])
