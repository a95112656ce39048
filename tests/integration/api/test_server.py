"""The daemon's process: signals, the port, a killed child, what it says to systemd."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.integration.api.conftest import Daemon, until

Start = Callable[..., Daemon]


def test_it_serves_until_terminated_and_drains(daemon: Start) -> None:
    process = daemon()
    client = process.started()
    answer = client.get("/health")
    assert answer.json() == {"status": "UP", "version": "test", "indicators": {"datastore": {"status": "UP"}}}
    assert "server" not in answer.headers
    process.send(signal.SIGTERM)
    assert process.expect("draining") == "fully"
    process.expect("closed")
    assert process.expect("ended") == "0"
    assert process.wait() == 0
    assert process.stderr() == ""


def test_requests_are_answered_while_draining(daemon: Start) -> None:
    process = daemon("127.0.0.1:0", "drain=60")
    client = process.started()
    process.send(signal.SIGTERM)
    process.expect("draining")
    assert client.get("/health").status_code == 200
    assert client.put("/jobs/j1/cancel").json() == {"status": "OK"}


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_second_signal_stops_now(daemon: Start, second: signal.Signals) -> None:
    process = daemon("127.0.0.1:0", "drain=60")
    process.started()
    process.send(signal.SIGTERM)
    process.expect("draining")
    process.send(second)
    process.expect("closed")
    assert process.wait() == 0


def test_one_signal_to_the_whole_group_is_one_signal(daemon: Start) -> None:
    process = daemon("127.0.0.1:0", "drain=1")
    process.started()
    os.killpg(process.pid, signal.SIGTERM)
    process.expect("draining")
    process.expect("drained")
    assert process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["int", "quit"])
def test_int_and_quit_drain_shortly(daemon: Start, number: signal.Signals) -> None:
    process = daemon("127.0.0.1:0", "drain=60")
    process.started()
    os.killpg(process.pid, number)
    assert process.expect("draining") == "shortly"
    process.expect("closed")
    assert process.wait() == 0


def test_hup_reloads_and_replaces_no_process(daemon: Start) -> None:
    process = daemon()
    client = process.started()
    process.send(signal.SIGHUP)
    process.expect("reloaded")
    assert client.get("/health").status_code == 200
    assert not any(line.startswith("draining") for line in process.lines)


def test_a_killed_child_is_replaced(daemon: Start) -> None:
    process = daemon()
    port = process.expect("listening")
    child = int(process.expect("serving"))
    os.kill(child, signal.SIGKILL)
    assert int(process.expect("serving")) != child
    assert httpx2.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200


def test_a_child_does_not_outlive_its_parent(daemon: Start) -> None:
    process = daemon()
    process.started()
    process.send(signal.SIGKILL)
    process.expect("closed")


def test_a_taken_port_is_told_with_the_key_to_change(daemon: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = daemon(address)
        assert process.expect("error") == (
            f"{address} is in use by another process: stop that, or set coordinator.address to a free address"
        )
        assert process.wait() == 1
        assert process.stderr() == ""


@pytest.mark.parametrize(
    ("address", "reason"),
    [("192.0.2.1:8000", "can't listen on 192.0.2.1:8000"), ("no-such-host.invalid:8000", "can't listen on no-such")],
)
def test_an_address_of_elsewhere_is_refused(daemon: Start, address: str, reason: str) -> None:
    message = daemon(address).expect("error")
    assert message.startswith(reason)
    assert message.endswith("set coordinator.address to an address of this machine")


def test_without_an_address_the_first_free_port_is_taken(daemon: Start) -> None:
    ports = [int(daemon("-").expect("listening")) for _ in range(2)]
    assert all(8000 <= port < 8100 for port in ports)
    assert ports[0] != ports[1]


def test_a_failed_start_is_one_sentence(daemon: Start) -> None:
    process = daemon("127.0.0.1:0", "start=fail")
    assert process.expect("error") == "the database is not there: start it"
    assert process.wait() == 1
    assert process.stderr() == ""


def test_systemd_hears_ready_only_when_requests_are_answered(daemon: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(20)
        process = daemon(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="3000000")
        process.started()
        heard = [channel.recv(100).decode()]
        while "READY=1" not in heard:
            heard.append(channel.recv(100).decode())
        while "WATCHDOG=1" not in heard:
            heard.append(channel.recv(100).decode())
        assert not [state for state in heard if "unicorn" in state]
        process.send(signal.SIGTERM)
        while "STOPPING=1" not in heard:
            heard.append(channel.recv(100).decode())


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"NONSENSE\r\n\r\n", 400, id="no-request"),
        pytest.param(b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414, id="long-line"),
        pytest.param(b"GET / HTTP/1.1\r\nA: " + b"x" * 70000 + b"\r\n\r\n", 431, id="long-header"),
    ],
)
def test_what_is_no_proper_request_is_refused_in_json(daemon: Start, sent: bytes, status: int) -> None:
    url = daemon().started().base_url
    with socket.create_connection((url.host, url.port or 0), timeout=20) as client:
        client.sendall(sent)
        head, body = read_answer(client)
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert list(json.loads(body)) == ["message"]


def test_a_chunked_body_above_the_limit_is_refused(daemon: Start) -> None:
    client = daemon().started()
    chunks = (b"x" * 100_000 for _ in range(6))
    answer = client.post("/jobs", content=chunks, headers={"Content-Type": "text/yaml"})
    assert (answer.status_code, answer.json()) == (413, {"message": "Request Entity Too Large"})
    body = (part for part in (b"name: x\ntasks:\n", b"- name: a\n  run: b\n"))
    assert client.post("/jobs", content=body, headers={"Content-Type": "text/yaml"}).json()["name"] == "x"


def test_a_process_that_may_open_no_more_files_goes_on(daemon: Start) -> None:
    process = daemon()
    port = int(process.expect("listening"))
    child = int(process.expect("serving"))
    files = len(list(Path(f"/proc/{child}/fd").iterdir()))
    usual = resource.prlimit(child, resource.RLIMIT_NOFILE)
    resource.prlimit(child, resource.RLIMIT_NOFILE, (files + 5, usual[1]))
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))
        until(lambda: "no more clients can be taken" in process.stderr(), "no file can be opened any more")
    resource.prlimit(child, resource.RLIMIT_NOFILE, usual)
    assert httpx2.get(f"http://127.0.0.1:{port}/health", trust_env=False, timeout=20).status_code == 200
    process.send(signal.SIGTERM)
    process.expect("ended")
    assert not any(line.startswith("serving") for line in process.lines[2:])


def test_a_delete_answers_without_a_body(daemon: Start) -> None:
    client = daemon().started()
    assert client.delete("/queues/nope").json() == {"message": "queue nope not found"}


def read_answer(client: socket.socket) -> tuple[bytes, bytes]:
    received = b""
    try:
        while part := client.recv(65536):
            received += part
    except ConnectionResetError:
        pass  # what was not read of the request
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body
