"""Clients that send slowly, stop half-way or say nothing: others are answered as ever. There are more of them than threads."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.integration.api.conftest import until
from tests.support.certificates import CA_FILE, CERTIFICATE_FILE, HOST, make_certificates
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


def _all_of(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    answer = b""
    while piece := connection.recv(10_000):
        answer += piece
    return answer


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


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("certificates")
    make_certificates(place)
    return place


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01", None, *HALVES.values()], ids=["half-a-handshake", "plain-http", *HALVES]
)
def test_with_tls_unfinished_requests_hold_no_thread_either(
    daemon: Start, opened: ExitStack, certificates: Path, sent: bytes | None
) -> None:
    serving = daemon("127.0.0.1:0", f"threads={THREADS}", f"tls={certificates}")
    port = int(serving.expect("listening"))
    serving.expect("serving")
    trusting = ssl.create_default_context(cafile=certificates / CA_FILE)
    for _ in range(CLIENTS):
        plain = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        if sent is None or sent.startswith(b"\x16"):
            plain.sendall(sent or b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            continue
        secure = opened.enter_context(trusting.wrap_socket(plain, server_hostname=HOST))
        secure.sendall(sent)
        if sent.count(b"GET") == 2:
            assert b"200 OK" in secure.recv(10_000)
    for _ in range(3):
        answer = httpx2.get(f"https://{HOST}:{port}/health", verify=trusting, timeout=20, trust_env=False)
        assert answer.status_code == 200


def test_a_certificate_that_is_broken_for_a_while_ends_nothing(daemon: Start, tmp_path: Path) -> None:
    make_certificates(tmp_path)
    serving = daemon("127.0.0.1:0", f"tls={tmp_path}")
    address = f"https://{HOST}:{serving.expect('listening')}/health"
    serving.expect("serving")
    trusting = ssl.create_default_context(cafile=tmp_path / CA_FILE)
    whole = (tmp_path / CERTIFICATE_FILE).read_bytes()
    (tmp_path / CERTIFICATE_FILE).write_bytes(whole[:50])
    with pytest.raises(httpx2.TransportError):
        httpx2.get(address, verify=trusting, timeout=20, trust_env=False)
    (tmp_path / CERTIFICATE_FILE).write_bytes(whole)
    assert httpx2.get(address, verify=trusting, timeout=20, trust_env=False).status_code == 200
    assert "coordinator.tls.cert" in serving.stderr()
    assert not [line for line in serving.lines if line.startswith("error")]


def test_a_large_body_that_stops_half_way_holds_a_thread_for_a_while_only(daemon: Start, opened: ExitStack) -> None:
    client = daemon("127.0.0.1:0", f"threads={THREADS}", "limit=9000000", "receive=1").started()
    slow = []
    for _ in range(CLIENTS):
        slow.append(
            opened.enter_context(socket.create_connection((client.base_url.host, client.base_url.port), timeout=20))
        )
        slow[-1].sendall(
            b"POST /jobs HTTP/1.1\r\nHost: a\r\nContent-Type: text/yaml\r\nContent-Length: 8000000\r\n\r\nname"
        )
    assert client.get("/health", timeout=20).status_code == 200
    assert b"the body ends before its Content-Length" in _all_of(slow[0])


def test_a_client_that_asks_before_it_sends_is_told_once(daemon: Start, opened: ExitStack) -> None:
    client = daemon().started()
    connection = opened.enter_context(
        socket.create_connection((client.base_url.host, client.base_url.port), timeout=10)
    )
    head = b"Content-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    connection.sendall(b"POST /jobs HTTP/1.1\r\nHost: a\r\nContent-Type: text/yaml\r\n" + head)
    assert connection.recv(10_000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(b"{}")
    assert _all_of(connection).startswith(b"HTTP/1.1 400")


def test_a_request_that_comes_byte_by_byte_is_answered(daemon: Start, opened: ExitStack) -> None:
    client = daemon().started()
    connection = opened.enter_context(
        socket.create_connection((client.base_url.host, client.base_url.port), timeout=10)
    )
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":
        connection.send(bytes([byte]))
    answer = _all_of(connection)
    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_requests_sent_at_once_are_answered_one_after_the_other(daemon: Start, opened: ExitStack) -> None:
    client = daemon().started()
    connection = opened.enter_context(
        socket.create_connection((client.base_url.host, client.base_url.port), timeout=10)
    )
    ask = b"GET /health HTTP/1.1\r\nHost: a\r\n%b\r\n"
    connection.sendall(ask % b"" * 4 + ask % b"Connection: close\r\n")
    answer = _all_of(connection)
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
    connection.sendall(b"GET /health HTTP/1.1\r\n" + b"X-A: b\r\n" * 20_000)
    assert _all_of(connection).startswith(b"HTTP/1.1 431")


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
    answer = _all_of(connection)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"the body ends before its Content-Length" in answer
