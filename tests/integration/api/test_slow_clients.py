"""Clients that send slowly, stop half-way or say nothing: others are answered as ever. There are more of them than threads."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.integration.api.conftest import until
from torkd.api.reception import MOST_WAITING

Start = Callable[..., Any]
THREADS = 4
CLIENTS = 4 * THREADS
LARGE = 12_000_000
"""More than the buffers of a connection hold."""
HALVES = {
    "nothing": b"",
    "half-a-line": b"GET /hea",
    "half-a-head": b"GET /health HTTP/1.1\r\nHost: a\r\n",
    "half-a-body": b"POST /jobs HTTP/1.1\r\nHost: a\r\nContent-Type: text/yaml\r\nContent-Length: 100\r\n\r\nname",
    "half-a-chunk": b"POST /jobs HTTP/1.1\r\nHost: a\r\nContent-Type: text/yaml\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nname",
    "half-a-second-request": b"GET /health HTTP/1.1\r\nHost: a\r\n\r\nGET /heal",
}


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def was_dropped(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize("sent", HALVES.values(), ids=HALVES)
def test_unfinished_requests_hold_no_thread(daemon: Start, opened: ExitStack, sent: bytes) -> None:
    client = daemon("127.0.0.1:0", f"threads={THREADS}").started()
    place = (client.base_url.host, client.base_url.port)
    slow = [opened.enter_context(socket.create_connection(place, timeout=10)) for _ in range(CLIENTS)]
    for connection in slow:
        connection.sendall(sent)
        if sent.count(b"GET") == 2:
            assert b"200 OK" in connection.recv(10_000)
    for _ in range(3):
        assert client.get("/health").status_code == 200


def test_a_request_that_comes_byte_by_byte_is_answered(daemon: Start, opened: ExitStack) -> None:
    client = daemon().started()
    connection = opened.enter_context(
        socket.create_connection((client.base_url.host, client.base_url.port), timeout=10)
    )
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":
        connection.send(bytes([byte]))
    answer = b""
    while piece := connection.recv(10_000):
        answer += piece
    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_requests_sent_at_once_are_answered_one_after_the_other(daemon: Start, opened: ExitStack) -> None:
    client = daemon().started()
    connection = opened.enter_context(
        socket.create_connection((client.base_url.host, client.base_url.port), timeout=10)
    )
    ask = b"GET /health HTTP/1.1\r\nHost: a\r\n%b\r\n"
    connection.sendall(ask % b"" * 4 + ask % b"Connection: close\r\n")
    answer = b""
    while piece := connection.recv(10_000):
        answer += piece
    assert answer.count(b"HTTP/1.1 200 OK") == 5


def test_a_client_that_does_not_close_holds_up_nobody(daemon: Start, opened: ExitStack) -> None:
    client = daemon("127.0.0.1:0", f"threads={THREADS}").started()
    place = (client.base_url.host, client.base_url.port)
    open_ = [opened.enter_context(socket.create_connection(place, timeout=10)) for _ in range(60)]
    for connection in open_:
        connection.sendall(b"nonsense\r\n\r\n")
        assert connection.recv(10_000).startswith(b"HTTP/1.1 400")
    assert client.get("/health", timeout=30).status_code == 200  # each of them for two seconds would be two minutes
    for connection in open_:
        assert connection.recv(10_000) == b""


def test_a_body_that_nobody_wants_is_not_waited_for(daemon: Start, opened: ExitStack) -> None:
    client = daemon("127.0.0.1:0", f"threads={THREADS}").started()
    place = (client.base_url.host, client.base_url.port)
    for _ in range(10 * THREADS):
        connection = opened.enter_context(socket.create_connection(place, timeout=10))
        connection.sendall(b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\nab")
    assert client.get("/health", timeout=20).status_code == 200  # each of them for five seconds would be fifty


def test_requests_that_do_not_arrive_hold_little_memory_together(daemon: Start, opened: ExitStack) -> None:
    client = daemon().started()
    place = (client.base_url.host, client.base_url.port)
    part = b"POST /jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 1040000\r\n\r\n" + b"a" * 1_000_000
    waiting = []
    for _ in range(2 * MOST_WAITING // len(part)):
        waiting.append(opened.enter_context(socket.create_connection(place, timeout=20)))
        waiting[-1].sendall(part)
    assert client.get("/health").status_code == 200
    until(lambda: sum(map(was_dropped, waiting)) >= len(waiting) // 3, "those above the limit are dropped")
    assert not all(map(was_dropped, waiting))


def test_clients_that_do_not_take_a_large_answer_hold_no_thread(daemon: Start, opened: ExitStack) -> None:
    client = daemon("127.0.0.1:0", f"threads={THREADS}", f"large={LARGE}").started()
    slow = []
    for _ in range(CLIENTS):
        slow.append(opened.enter_context(socket.socket()))
        slow[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow[-1].settimeout(20)
        slow[-1].connect((client.base_url.host, client.base_url.port))
        slow[-1].sendall(b"GET /jobs/large HTTP/1.1\r\nHost: a\r\n\r\n")
    for _ in range(3):
        assert client.get("/health", timeout=60).status_code == 200
    answer = bytearray()
    while piece := slow[-1].recv(100_000):
        answer += piece
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert json.loads(body)["description"] == "x" * LARGE


def test_a_head_without_end_is_refused(daemon: Start, opened: ExitStack) -> None:
    client = daemon().started()
    connection = opened.enter_context(
        socket.create_connection((client.base_url.host, client.base_url.port), timeout=10)
    )
    connection.sendall(b"GET /health HTTP/1.1\r\n" + b"X-A: b\r\n" * 9000)
    assert connection.recv(10_000).startswith(b"HTTP/1.1 431")


def test_half_a_job_file_of_a_client_that_is_gone_is_no_job(daemon: Start, opened: ExitStack) -> None:
    client = daemon().started()
    connection = opened.enter_context(
        socket.create_connection((client.base_url.host, client.base_url.port), timeout=10)
    )
    whole = b"name: cut\ntasks:\n- name: first\n  run: a\n- name: second\n  run: b\n"
    connection.sendall(
        b"POST /jobs HTTP/1.1\r\nHost: a\r\nContent-Type: text/yaml\r\nContent-Length: %d\r\n\r\n" % len(whole)
        + whole.partition(b"- name: second")[0]
    )
    connection.shutdown(socket.SHUT_WR)
    answer = b""
    while piece := connection.recv(10_000):
        answer += piece
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"the body ends before its Content-Length" in answer
