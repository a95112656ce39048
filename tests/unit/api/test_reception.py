"""When a request has arrived: whatever pieces it comes in, and whatever is wrong with it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from torkd.api.reception import CONTINUE, MOST_BODY, MOST_HEAD, RECEIVE_SECONDS, SLOWEST, Arrival, Incoming

GET = b"GET /jobs HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /jobs HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
TRAILER = CHUNKED[:-2] + b"X-Sum: 1\r\n\r\n"

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("request_", [GET, POST, CHUNKED, TRAILER], ids=["get", "post", "chunked", "trailer"])
def test_a_request_is_whole_with_its_last_byte_and_not_before(ends: Ends, request_: bytes) -> None:
    ours, theirs = ends
    incoming = Incoming(until=0)
    for byte in request_[:-1]:
        theirs.send(bytes([byte]))
        assert incoming.receive(ours) is Arrival.PART
    theirs.send(request_[-1:])
    assert incoming.receive(ours) is Arrival.WHOLE
    assert incoming.data == request_


@pytest.mark.parametrize(
    ("sent", "arrival"),
    [
        (b"", Arrival.PART),
        (b"G", Arrival.PART),
        (b"a" * (MOST_HEAD + 1), Arrival.TOO_LONG),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", Arrival.WHOLE),
        (b"POST / HTTP/1.1\r\ncontent-length:9\r\n\r\n", Arrival.PART),
        (b"POST / HTTP/1.1\r\nContent-Length: -9\r\n\r\n", Arrival.WHOLE),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Arrival.WHOLE),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n\r\n", Arrival.WHOLE),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"5" * (MOST_HEAD + 1), Arrival.WHOLE),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFF\r\n", Arrival.TOO_LARGE),
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b"a" * 65536 + b"\r\n") * 16,
            Arrival.PART,
        ),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 400_000, Arrival.TOO_LARGE),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 400_000, Arrival.TOO_LARGE),
        (GET + GET, Arrival.WHOLE),
    ],
    ids=[
        "nothing",
        "a-letter",
        "a-head-without-end",
        "a-body-above-the-limit",
        "a-body-to-come",
        "a-length-that-is-none",
        "a-chunk-that-is-none",
        "a-chunk-of-less-than-nothing",
        "a-chunk-without-a-size",
        "a-chunk-above-the-limit",
        "chunks-up-to-the-limit",
        "more-sizes-than-chunks",
        "trailers-without-end",
        "two-at-once",
    ],
)
def test_what_has_arrived_says_what_to_do(sent: bytes, arrival: Arrival) -> None:
    incoming = Incoming(until=0)
    incoming.data += sent
    assert incoming.state() is arrival


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(ends: Ends) -> None:
    ours, theirs = ends
    incoming = Incoming(until=0)
    theirs.send(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert incoming.receive(ours) is Arrival.PART
    assert theirs.recv(100) == CONTINUE
    theirs.send(b"ok")
    assert incoming.receive(ours) is Arrival.WHOLE
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(100)


def test_a_head_that_came_behind_another_request_is_told_to_go_on_too(ends: Ends) -> None:
    ours, theirs = ends
    incoming = Incoming(until=0)
    incoming.data += b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    assert incoming.receive(ours) is Arrival.PART
    theirs.setblocking(False)
    assert theirs.recv(100) == CONTINUE
    theirs.send(b"o")
    assert incoming.receive(ours) is Arrival.PART
    with pytest.raises(BlockingIOError):
        theirs.recv(100)


def test_a_client_that_has_gone_is_left_to_whoever_reads_on(ends: Ends) -> None:
    ours, theirs = ends
    theirs.send(b"GET /")
    theirs.close()
    assert Incoming(until=0).receive(ours) is Arrival.WHOLE


def test_a_larger_body_is_collected_where_it_is_allowed(ends: Ends) -> None:
    ours, theirs = ends
    incoming = Incoming(until=0, most_body=3 * MOST_BODY)
    theirs.send(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (3 * MOST_BODY))
    assert incoming.receive(ours) is Arrival.PART
    incoming.data += b"a" * 3 * MOST_BODY
    assert incoming.receive(ours) is Arrival.WHOLE


def test_patience_grows_with_what_arrives() -> None:
    incoming = Incoming(until=60)
    assert not incoming.is_late(60)
    assert incoming.is_late(61)
    incoming.data += b"a" * 2 * SLOWEST
    assert not incoming.is_late(61)
    assert incoming.is_late(63)


def test_what_holds_much_for_long_is_the_heavier_burden() -> None:
    old, new = Incoming(until=RECEIVE_SECONDS), Incoming(until=RECEIVE_SECONDS + 9)
    old.data += b"a" * 10
    new.data += b"a" * 50
    assert old.burden(now=10) > new.burden(now=10)
    assert old.burden(now=100) < new.burden(now=100)
