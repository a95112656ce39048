"""Clients that send slowly, stop half-way or say nothing: others are answered as ever. There are more of them than threads."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.integration.api.conftest import until
from tests.support.certificates import CA_FILE, CERTIFICATE_FILE, HOST, KEY_FILE, make_certificates
from torkd.api.large_job import MANY_TASKS

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
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)  # whoever was slow no longer is
    answer = bytearray()
    while piece := connection.recv(1 << 20):
        answer += piece
    return bytes(answer)


def _from_chunks(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        end = int(size, 16)
        whole, body = whole + rest[:end], rest[end + 2 :]
    return whole


def was_told(connection: socket.socket) -> bool:
    """Whether anything came, be it the end."""
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
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


def _authority_seen(port: int, *authorities: Path) -> Path | None:
    """Which of them has signed the certificate of a new connection."""
    for authority in authorities:
        trusting = ssl.create_default_context(cafile=authority)
        with (
            contextlib.suppress(ssl.SSLCertVerificationError),
            socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
            trusting.wrap_socket(plain, server_hostname=HOST),
        ):
            return authority
    return None


def test_a_renewed_certificate_is_used_at_once_and_one_that_is_broken_never(daemon: Start, tmp_path: Path) -> None:
    place, later = tmp_path / "now", tmp_path / "later"
    for directory in (place, later):
        directory.mkdir()
        make_certificates(directory)
    old, new = (directory / "authority.pem" for directory in (place, later))
    for directory, authority in ((place, old), (later, new)):
        (directory / CA_FILE).rename(authority)
    serving = daemon("127.0.0.1:0", f"tls={place}")
    port = int(serving.expect("listening"))
    serving.expect("serving")
    assert _authority_seen(port, old, new) == old
    (later / CERTIFICATE_FILE).replace(place / CERTIFICATE_FILE)
    assert [_authority_seen(port, old, new) for _ in range(2)] == [old, old]
    assert serving.stderr().count("have changed and can't be used") == 1
    (later / KEY_FILE).replace(place / KEY_FILE)
    assert _authority_seen(port, old, new) == new
    (place / KEY_FILE).unlink()
    assert _authority_seen(port, old, new) == new


def test_large_bodies_that_trickle_hold_no_thread(daemon: Start, opened: ExitStack) -> None:
    client = daemon("127.0.0.1:0", f"threads={THREADS}", "limit=9000000").started()
    place = (client.base_url.host, client.base_url.port)
    head = b"POST /jobs HTTP/1.1\r\nHost: a\r\nContent-Type: text/yaml\r\n"
    for _ in range(CLIENTS):
        for rest in (b"Content-Length: 8000000\r\n\r\nname", b"Transfer-Encoding: chunked\r\n\r\n7A1200\r\nname"):
            opened.enter_context(socket.create_connection(place, timeout=20)).sendall(head + rest)
    for _ in range(3):
        assert client.get("/health", timeout=20).status_code == 200
    body = b"name: x\ntasks:\n- name: a\n  run: b\n" + b"#" * 8_000_000
    assert client.post("/jobs", content=body, headers={"Content-Type": "text/yaml"}).json()["name"] == "x"


def test_a_request_that_does_not_arrive_in_time_is_told_so(daemon: Start, opened: ExitStack) -> None:
    client = daemon("127.0.0.1:0", "receive=0.2").started()
    connection = opened.enter_context(
        socket.create_connection((client.base_url.host, client.base_url.port), timeout=20)
    )
    connection.sendall(HALVES["half-a-body"])
    assert _all_of(connection).startswith(b"HTTP/1.1 408")


def test_more_requests_than_may_wait_for_a_thread_are_told_to_come_again(daemon: Start, opened: ExitStack) -> None:
    serving = daemon("127.0.0.1:0", "threads=1", "waiting=50000")
    client = serving.started()
    place = (client.base_url.host, client.base_url.port)
    asking = [opened.enter_context(socket.create_connection(place, timeout=20)) for _ in range(5)]
    asking[0].sendall(b"PUT /jobs/held/cancel HTTP/1.1\r\nHost: a\r\n\r\n")
    serving.expect("cancelling held")
    for connection in asking[1:]:
        connection.sendall(b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n" + b"a" * 20_000)
    until(lambda: sum(map(was_told, asking)) == 2, "two of them are turned away")
    for connection in [connection for connection in asking if was_told(connection)]:
        connection.settimeout(20)
        answer = _all_of(connection)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 1\r\n" in answer
        asking.remove(connection)
    serving.send(signal.SIGHUP)
    for connection in asking:
        connection.settimeout(20)
    assert sorted(connection.recv(10_000)[9:12] for connection in asking) == [b"200", b"404", b"404"]


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
    client = daemon("127.0.0.1:0", "waiting=10000000").started()
    place = (client.base_url.host, client.base_url.port)
    part = b"POST /jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 1040000\r\n\r\n" + b"a" * 1_000_000
    waiting = []
    for _ in range(20):
        waiting.append(opened.enter_context(socket.create_connection(place, timeout=20)))
        waiting[-1].sendall(part)
    assert client.get("/health").status_code == 200
    until(lambda: sum(map(was_told, waiting)) >= 10, "those above the limit are turned away")
    assert not all(map(was_told, waiting))


def _slow_reader(opened: ExitStack, client: httpx2.Client, path: str) -> socket.socket:
    connection = opened.enter_context(socket.socket())
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect((client.base_url.host, client.base_url.port))
    connection.sendall(b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path.encode())
    return connection


def test_clients_that_do_not_take_a_large_answer_hold_no_thread(daemon: Start, opened: ExitStack) -> None:
    client = daemon("127.0.0.1:0", f"threads={THREADS}", f"large={LARGE}").started()
    slow = [_slow_reader(opened, client, "/jobs/large") for _ in range(2 * THREADS)]
    for _ in range(3):
        assert client.get("/health", timeout=60).status_code == 200
    head, _, body = _all_of(slow[-1]).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert json.loads(body)["description"] == "x" * LARGE


def test_answers_that_nobody_takes_are_given_up_above_a_total_the_stalest_first(
    daemon: Start, opened: ExitStack
) -> None:
    serving = daemon("127.0.0.1:0", f"large={LARGE}", f"unsent={LARGE}")
    client = serving.started()
    stale = _slow_reader(opened, client, "/jobs/large")
    assert stale.recv(100).startswith(b"HTTP/1.1 200")
    for _ in range(4):  # one after the other, so that the last is the freshest
        other = _slow_reader(opened, client, "/jobs/large")
        assert other.recv(100).startswith(b"HTTP/1.1 200")
    until(lambda: "clients do not take their answers" in serving.stderr(), "one is given up")
    with contextlib.suppress(ConnectionResetError):
        assert len(_all_of(stale)) < LARGE
    assert len(_all_of(other)) > LARGE


def test_a_large_answer_alone_is_not_given_up(daemon: Start, opened: ExitStack) -> None:
    client = daemon("127.0.0.1:0", f"large={LARGE}", "unsent=1000").started()
    alone = _slow_reader(opened, client, "/jobs/large")
    assert client.get("/health").status_code == 200
    assert len(_all_of(alone)) > LARGE


def test_parts_of_an_answer_are_made_as_the_client_takes_them(daemon: Start, opened: ExitStack) -> None:
    serving = daemon("127.0.0.1:0", f"threads={THREADS}", "lots=12")
    client = serving.started()
    place = (client.base_url.host, client.base_url.port)
    slow = [_slow_reader(opened, client, "/jobs/many") for _ in range(CLIENTS)]
    for _ in range(3):
        assert client.get("/health", timeout=60).status_code == 200
    connection = opened.enter_context(socket.create_connection(place, timeout=20))
    connection.sendall(
        b"GET /jobs/many HTTP/1.1\r\nHost: a\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    answers = _all_of(connection)
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert b'"status":"UP"' in answers[-200:]
    whole = client.get("/jobs/many").json()
    assert len(whole["execution"]) == 12 * MANY_TASKS
    client.put("/jobs/j1/cancel")
    serving.expect("cancelling j1")
    assert serving.lines.count("lot of many") < (CLIENTS + 2) * 12
    head, _, body = _all_of(slow[0]).partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert json.loads(_from_chunks(body)) == whole


def test_an_answer_whose_parts_can_not_be_read_any_more_is_cut_off_visibly(daemon: Start, opened: ExitStack) -> None:
    serving = daemon("127.0.0.1:0", "lots=2")
    client = serving.started()
    with pytest.raises(httpx2.RemoteProtocolError, match="incomplete"):
        client.get("/jobs/broken")
    until(lambda: "an answer was cut off: the database is away" in serving.stderr(), "the log has the reason")
    assert client.get("/health").status_code == 200


def test_parts_of_a_plugin_go_out_as_they_come_and_its_end_ends_nothing_else(daemon: Start, opened: ExitStack) -> None:
    serving = daemon("127.0.0.1:0", f"threads={THREADS}", "lots=2")
    client = serving.started()
    streams = [_slow_reader(opened, client, "/trickle") for _ in range(THREADS - 1)]
    for stream in streams:
        answer = b""
        while b"one\n" not in answer:
            piece = stream.recv(1000)
            assert piece
            answer += piece
    assert len(client.get("/jobs/many").json()["execution"]) == 2 * MANY_TASKS
    serving.send(signal.SIGHUP)
    for stream in streams:
        assert stream.recv(1000)
        stream.close()
        serving.expect("closing the trickle")
    assert client.get("/health").status_code == 200
    until(lambda: serving.stderr().count("an answer could not be closed") == len(streams), "the log has the reason")
    assert not any(line.startswith("serving") for line in serving.lines[2:])


def test_a_failure_of_a_plugin_half_way_is_no_part_of_its_answer(daemon: Start, opened: ExitStack) -> None:
    serving = daemon()
    client = serving.started()
    answer = _all_of(_slow_reader(opened, client, "/trickle?broken=1"))
    assert answer.endswith(b"\r\n\r\n4\r\none\n\r\n")
    until(lambda: "an answer was cut off unexpectedly" in serving.stderr(), "the log has the reason")


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
