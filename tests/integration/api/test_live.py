"""Streams on the real server: pushed at once, many beside few threads, ended with the daemon."""

from __future__ import annotations

import contextlib
import resource
import selectors
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import httpx2
import pytest

from tests.integration.api.conftest import Daemon, until

Start = Callable[..., Daemon]
STREAMS = 1000


@contextlib.contextmanager
def listening(client: httpx2.Client, path: str, **headers: str) -> Iterator[Iterator[httpx2.ServerSentEvent]]:
    with client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        yield iter(httpx2.EventSource(answer))


def test_a_change_is_pushed_and_the_end_closes_the_stream(daemon: Start) -> None:
    client = daemon().started()
    with listening(client, "/jobs/j1/events") as events:
        first = next(events)
        assert (first.event, first.id) == ("job", "1")
        client.put("/jobs/j1/cancel")
        assert [(event.event, event.id) for event in events] == [("job", "2"), ("end", "2")]
    with listening(client, "/jobs/j1/events", **{"Last-Event-ID": "2"}) as events:
        assert [event.event for event in events] == ["job", "end"]


def test_all_jobs_are_followed_in_one_stream(daemon: Start) -> None:
    client = daemon().started()
    with listening(client, "/events", **{"Last-Event-ID": "7"}) as events:
        assert next(events).event == "reset"
        client.put("/jobs/j2/cancel")
        event = next(events)
        assert (event.event, event.id, '"id":"j2"' in event.data) == ("job", "2", True)


def test_a_log_is_pushed_part_by_part(daemon: Start) -> None:
    client = daemon().started()
    with listening(client, "/jobs/j1/log/stream") as events:
        for number in (1, 2):
            client.put("/jobs/j1/restart")
            event = next(events)
            assert (event.event, event.id) == ("log", f"r1:{number}")
        client.put("/jobs/j1/cancel")
        assert [event.event for event in events] == ["end"]


def test_a_thousand_idle_streams_leave_the_threads_to_requests(daemon: Start) -> None:
    _allow_files(STREAMS + 500)
    process = daemon()
    client = process.started()
    address = ("127.0.0.1", client.base_url.port or 0)
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(_open_stream(address, "/jobs/j1/log/stream")) for _ in range(STREAMS)]
        for each in sockets:
            assert b": following" in _read_until(each, b": following")
        assert client.get("/health").status_code == 200
        client.put("/jobs/j1/restart")
        for each in sockets:
            assert b"event: log" in _read_until(each, b"hello from")
        process.send(signal.SIGTERM)
        for each in sockets:
            assert _read_until(each, b"0\r\n\r\n").endswith(b"0\r\n\r\n")
    assert process.wait() == 0


def test_waiting_clients_do_not_use_up_the_threads(daemon: Start) -> None:
    process = daemon()
    client = process.started()
    body = b"name: x\ntasks: [{name: a, run: b}]\nwait: {timeout: 300s}\n"
    head = b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Type: text/yaml\r\nContent-Length: %d\r\n\r\n" % len(body)
    with contextlib.ExitStack() as stack:
        waiting = []
        for _ in range(80):
            waiting.append(stack.enter_context(socket.create_connection(("127.0.0.1", client.base_url.port or 0), 20)))
            waiting[-1].sendall(head + body)
        until(lambda: len(client.get("/jobs?size=20").json().get("items", [])) >= 82, "all submissions are in")
        jobs = [job["id"] for job in client.get("/jobs").json()["items"] if job["name"] == "x"]
        client.put(f"/jobs/{jobs[0]}/cancel")
        assert b'"state":"COMPLETED"' in _first_of(waiting)
        process.send(signal.SIGTERM)
        farewells = [_read_until(each, b"}") for each in waiting]
    assert (
        sum(b"500 Internal Server Error\r\n" in answer and b"server shutting down" in answer for answer in farewells)
        == 79
    )


def test_a_client_that_reads_nothing_holds_up_nobody(daemon: Start) -> None:
    client = daemon().started()
    address = ("127.0.0.1", client.base_url.port or 0)
    with _open_stream(address, "/events", receive_buffer=1024), listening(client, "/events") as events:
        for _ in range(300):
            client.put("/jobs/j1/cancel")
        told = 0
        while told < 301:
            told = int(next(events).id)


def test_clients_that_left_make_room(daemon: Start) -> None:
    client = daemon("127.0.0.1:0", "most=5").started()
    address = ("127.0.0.1", client.base_url.port or 0)
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            _read_until(stack.enter_context(_open_stream(address, "/events")), b": listening")
        refused = client.get("/events")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert client.get("/health").status_code == 200
    until(lambda: _is_open(client), "a place is free again")


def test_many_threads_may_open_streams_at_once(daemon: Start) -> None:
    process = daemon()
    client = process.started()
    address = ("127.0.0.1", client.base_url.port or 0)
    answers: list[bytes] = []

    def follow() -> None:
        with _open_stream(address, "/jobs/j1/events") as stream:
            answers.append(_read_until(stream, b"0\r\n\r\n"))

    threads = [threading.Thread(target=follow) for _ in range(30)]
    for thread in threads:
        thread.start()
    client.put("/jobs/j1/cancel")
    for thread in threads:
        thread.join(20)
    assert len(answers) == 30
    assert all(b"event: end" in answer for answer in answers)


def _open_stream(address: tuple[str, int], path: str, *, receive_buffer: int = 0) -> socket.socket:
    stream = socket.socket()
    if receive_buffer:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    stream.settimeout(20)
    stream.connect(address)
    stream.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return stream


def _read_until(stream: socket.socket, mark: bytes) -> bytes:
    received = b""
    while mark not in received:
        part = stream.recv(65536)
        assert part, f"closed before {mark!r}: {received!r}"
        received += part
    return received


def _first_of(waiting: list[socket.socket]) -> bytes:
    """The answer that one of them gets; that one is taken out."""
    with selectors.DefaultSelector() as selector:
        for each in waiting:
            selector.register(each, selectors.EVENT_READ)
        ((key, _),) = selector.select(20)
    (readable,) = [each for each in waiting if each is key.fileobj]
    waiting.remove(readable)
    return _read_until(readable, b'"position"')


def _is_open(client: httpx2.Client) -> bool:
    with client.stream("GET", "/events") as answer:
        return answer.status_code == 200


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            pytest.skip(f"only {hard} open files are allowed here")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
