"""Sending to receivers of every kind: real sockets on this machine."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.certificates import CA_FILE, HOST, make_certificates
from tests.support.receiver import Receiver, Reply
from tests.support.waiting import wait_until
from torkd.hooks.webhook_request import HookRequest
from torkd.hooks.webhook_sender import Answer, WebhookSender

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def send(url: str, sender: WebhookSender | None = None, **headers: str) -> Answer:
    own = sender or WebhookSender(try_seconds=5)
    try:
        return own.send(HookRequest(url=url, headers=headers, body='{"a":"ü"}'), delivery_id="d1", event="e", now=NOW)
    finally:
        if sender is None:
            own.close()


@contextmanager
def server(*pieces: bytes, forever: bytes = b"") -> Iterator[str]:
    """Reads what comes, sends the pieces, and then closes, or goes on with a byte at a time."""
    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            line, _ = listening.accept()
            with line:
                line.recv(65536)
                for piece in pieces:
                    line.sendall(piece)
                while forever and not ended.wait(0.02):
                    line.sendall(forever)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/hook"
    finally:
        ended.set()
        listening.close()
        thread.join(timeout=10)


def test_a_request_arrives_as_it_is_and_its_connection_serves_the_next() -> None:
    lines: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        lines.append(host)
        return ["127.0.0.1"]

    with Receiver() as receiver:
        receiver.answer = lambda received: Reply(status=201)
        sender = WebhookSender(resolve=resolve)
        for _ in range(3):
            assert send(f"http://hooks.test:{receiver.port}/a%20b/ü?x=1&y=%2F", sender, **{"X-T": "ü"}).status == 201
        sender.close()
    first = receiver.received[0]
    assert (first.path, first.body, first.headers["content-length"]) == (
        "/a%20b/%C3%BC?x=1&y=%2F",
        '{"a":"ü"}'.encode(),
        "10",
    )
    assert first.headers["x-t"].encode("latin-1").decode() == "ü"
    assert first.headers["host"] == f"hooks.test:{receiver.port}"
    assert lines == ["hooks.test"]


def test_the_user_of_an_address_is_signed_in_with() -> None:
    with Receiver() as receiver:
        send(f"http://ann:p%40ss@127.0.0.1:{receiver.port}/hook")
        send(f"http://ann:p%40ss@127.0.0.1:{receiver.port}/hook", Authorization="Bearer x")
    assert [received.headers["authorization"] for received in receiver.received] == ["Basic YW5uOnBAc3M=", "Bearer x"]


def test_a_redirection_is_not_followed() -> None:
    with Receiver() as receiver:
        receiver.answer = lambda received: Reply(status=302, headers={"Location": "/elsewhere"})
        assert send(receiver.url()).status == 302
    assert [received.path for received in receiver.received] == ["/hook"]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("Fri, 02 Jan 2026 03:04:35 GMT", 30.0),
        ("Fri, 02 Jan 2020 03:04:35 GMT", 0.0),
        ("soon", None),
        ("\N{SUPERSCRIPT TWO}", None),
        ("Fri, 02 Jan 2026 03:04:35 +99999999999999", None),
    ],
)
def test_a_receiver_may_say_when_to_come_back(header: str, seconds: float | None) -> None:
    with Receiver() as receiver:
        receiver.answer = lambda received: Reply(status=503, headers={"Retry-After": header})
        assert send(receiver.url()) == Answer(status=503, retry_after=seconds)


def test_nobody_listening_is_told_without_the_address() -> None:
    with Receiver() as receiver:
        url = receiver.url("/secret-path")
    answer = send(url)
    assert (answer.status, answer.error, answer.is_final) == (None, "no connection: connection refused", False)


def test_a_host_that_is_not_there_is_told_without_the_address() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    assert (
        send("http://nope.test/", WebhookSender(resolve=unknown)).error
        == "its host is not found: Name or service not known"
    )
    assert send(f"http://{'a' * 80}.test/").error == "its host is not found: that is no name of a host"


def test_a_connection_that_ends_without_an_answer_is_told() -> None:
    with server() as url:
        assert send(url).error == "the connection ended before an answer"


def test_what_is_no_http_is_told() -> None:
    with server(b"SSH-2.0-x\r\n") as url:
        answer = send(url)
    assert answer.status is None
    assert answer.error


def test_a_receiver_that_says_nothing_is_left_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = send(f"http://127.0.0.1:{silent.getsockname()[1]}/", WebhookSender(try_seconds=0.2))
    assert answer == Answer(error="no answer within 0.2 s")


def test_a_name_service_that_says_nothing_is_left_in_time() -> None:
    ended = threading.Event()

    def resolve(host: str, port: int) -> list[str]:
        ended.wait(60)
        return ["127.0.0.1"]

    answer = send("http://stuck.test/", WebhookSender(try_seconds=0.2, resolve=resolve))
    ended.set()
    assert answer == Answer(error="its host is not found: no answer from the name service within 0.2 s")


def test_all_addresses_of_a_host_share_the_time_of_one_try() -> None:
    """Else a try would outlast the claim of its lane, and somebody else would send the same."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as lines:
        for _ in range(4):
            waiting = lines.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        sender = WebhookSender(try_seconds=0.2, resolve=lambda host, port: ["127.0.0.1"] * 200)
        began = time.monotonic()
        answer = send(f"http://many.test:{full.getsockname()[1]}/", sender)
    assert answer == Answer(error="no answer within 0.2 s")
    assert time.monotonic() - began < 20  # one after the other, they would take 40 s


@pytest.mark.parametrize(
    ("seconds", "start", "told"),
    [
        pytest.param(0.3, b"", Answer(error="no answer within 0.3 s"), id="status"),
        pytest.param(3.0, b"HTTP/1.1 200 OK\r\nX: ", Answer(status=200), id="headers, after a status that counts"),
    ],
)
def test_a_receiver_that_drips_is_cut(seconds: float, start: bytes, told: Answer) -> None:
    sender, answers = WebhookSender(try_seconds=seconds), list[Answer]()
    with server(start, forever=b"H") as url:
        thread = threading.Thread(target=lambda: answers.append(send(url, sender)), daemon=True)
        thread.start()

        def is_cut() -> bool:
            sender.cut_late()
            return bool(answers)

        wait_until(is_cut)
        thread.join()
    assert answers == [told]


def test_a_long_answer_is_not_read_to_its_end() -> None:
    with server(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 70_000, forever=b"x" * 1000) as url:
        assert send(url).status == 200


def test_an_end_of_the_program_ends_what_is_on_its_way() -> None:
    sender, answers = WebhookSender(), list[Answer]()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        thread = threading.Thread(target=lambda: answers.append(send(url, sender)), daemon=True)
        thread.start()
        line, _ = silent.accept()
        with line:
            line.recv(100)
            sender.abort()
            thread.join(timeout=10)
    assert [answer.was_cut for answer in answers] == [True]


def test_a_private_address_is_refused_whatever_its_name() -> None:
    with Receiver() as receiver:
        for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"):
            answer = send(f"http://{host}:{receiver.port}/hook", WebhookSender(allow_private=False))
            assert answer.is_final
            assert "is private, and middleware.webhook.allow_private is false" in answer.error
    assert receiver.received == []


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address of this machine that counts as public, at which nobody listens; all others are private."""
    monkeypatch.setattr("torkd.hooks.webhook_sender.is_private", lambda address: address != "127.0.0.9")
    return "127.0.0.9"


def test_the_connection_goes_to_the_address_that_was_checked(public: str) -> None:
    """A name that means something else the second time it is asked gains nothing: it is asked once."""
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return [public] if len(asked) == 1 else ["127.0.0.1"]

    with Receiver() as receiver:
        sender = WebhookSender(allow_private=False, resolve=rebinding)
        answer = send(f"http://rebind.test:{receiver.port}/hook", sender)
    assert (answer.error, asked, receiver.received) == ("no connection: connection refused", ["rebind.test"], [])


def test_of_several_addresses_only_the_public_ones_are_tried(public: str) -> None:
    with Receiver() as receiver:
        sender = WebhookSender(allow_private=False, resolve=lambda host, port: ["127.0.0.1", public])
        assert send(f"http://both.test:{receiver.port}/hook", sender).error == "no connection: connection refused"
    assert receiver.received == []


def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    with Receiver() as receiver:
        sender = WebhookSender(resolve=lambda host, port: ["127.0.0.2", "127.0.0.1"])
        assert send(f"http://two.test:{receiver.port}/hook", sender).status == 200
        sender.close()


def test_a_certificate_counts_for_the_name_and_only_if_it_is_trusted(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    trust = ssl.create_default_context(cafile=str(tmp_path / CA_FILE))
    with Receiver(certificates=tmp_path) as receiver:
        for name, sender, told in (
            (HOST, WebhookSender(trust=trust, resolve=lambda host, port: ["127.0.0.1"]), ""),
            ("other.test", WebhookSender(trust=trust, resolve=lambda host, port: ["127.0.0.1"]), "ostname mismatch"),
            (HOST, WebhookSender(resolve=lambda host, port: ["127.0.0.1"]), "its certificate is refused: "),
        ):
            answer = send(f"https://{name}:{receiver.port}/hook", sender)
            sender.close()
            assert (answer.status == 200, told in answer.error) == (not told, True)
