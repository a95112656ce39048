"""The hub with real sockets and threads, its clock made fast."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import falcon.testing
import pytest

from tests.support.api_fakes import a_job, ended
from tork.errors import DatastoreUnavailable
from torkd.api.showing import Showing
from torkd.api.streams import Feed, JobFeed, WaitFeed, hub
from torkd.hooks.redact import Redactor

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEARTBEAT_SECONDS", "CHECK_SECONDS", "_TICK_SECONDS", "_RETRY_SECONDS"):
        monkeypatch.setattr(hub, name, 0.02)


class Client:
    """The far end of an adopted connection."""

    def __init__(self, api: Api, feed: Feed) -> None:
        server, self.socket = socket.socketpair()
        self.socket.settimeout(20)
        self.gone = threading.Event()
        self.received = b""
        api.streams.adopt(
            server, feed, lambda status, length: f"{status} {length}|".encode(), chunked=False, gone=self.gone.set
        )

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self.received:
            part = self.socket.recv(65536)
            assert part, f"closed before {mark!r}: {self.received!r}"
            self.received += part
        return self.received

    def read_all(self) -> bytes:
        while part := self.socket.recv(65536):
            self.received += part
        return self.received


@contextlib.contextmanager
def following(api: Api, feed: Feed | None = None) -> Iterator[Client]:
    client = Client(api, feed or a_feed(api))
    try:
        yield client
    finally:
        client.socket.close()
        assert client.gone.wait(20)


def a_feed(api: Api, **given: Any) -> JobFeed:
    return JobFeed(api.reading, Showing(api.reading, Redactor()), job_id="j1", after="", **given)


def test_a_ring_is_told_and_the_end_closes(api: Api) -> None:
    api.reading.put(a_job())
    with following(api) as client:
        client.read_until(b"id: 1")
        api.reading.put(ended(a_job()))
        assert client.read_all().endswith(b"id: 2\n\n")
        assert client.gone.wait(20)


def test_a_lost_ring_is_made_up_for(api: Api) -> None:
    api.reading.put(a_job())
    with following(api) as client:
        client.read_until(b"id: 1")
        api.reading.put(a_job(name="renamed"), quietly=True)
        client.read_until(b"renamed")


def test_a_deleted_job_ends_its_streams(api: Api) -> None:
    api.reading.put(a_job())
    with following(api) as client:
        client.read_until(b"id: 1")
        del api.reading.jobs["j1"], api.reading.versions["j1"]
        client.read_all()


def test_an_idle_stream_is_kept_alive(api: Api) -> None:
    api.reading.put(a_job())
    with following(api) as client:
        client.read_until(b":\n\n:\n\n")


def test_a_client_that_leaves_is_forgotten(api: Api) -> None:
    api.reading.put(a_job())
    with following(api) as client:
        client.read_until(b"id: 1")
    assert not api.streams._connections
    assert not api.streams._doorbell._listening


def test_a_datastore_that_is_away_is_waited_for(api: Api) -> None:
    api.reading.put(a_job())
    api.reading.failure = DatastoreUnavailable("away")
    with following(api) as client:
        client.read_until(b"200 None|")
        api.reading.failure = None
        client.read_until(b"event: job")


def test_a_feed_that_fails_ends_alone(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.reading.put(a_job())
    with following(api) as healthy:
        healthy.read_until(b"id: 1")
        api.reading.failure = RuntimeError("a mistake of ours")
        with following(api) as client:
            assert client.read_all() == b"200 None|"
        api.reading.failure = None
        api.reading.put(ended(a_job()))
        healthy.read_until(b"event: end")
    assert "a mistake of ours" in caplog.text


def test_an_awaited_answer_that_fails_says_so(api: Api) -> None:
    api.reading.failure = RuntimeError("a mistake of ours")
    feed = WaitFeed(api.reading, Showing(api.reading, Redactor()), job_id="j1", seconds=60, pretty=False)
    with following(api, feed) as client:
        assert client.read_all() == b'500 35|{"message":"Internal Server Error"}'


def test_closing_says_goodbye_to_everybody_and_refuses_newcomers(api: Api) -> None:
    api.reading.put(a_job())
    wait = WaitFeed(api.reading, Showing(api.reading, Redactor()), job_id="j1", seconds=60, pretty=False)
    with following(api, wait) as waiting, following(api) as client:
        client.read_until(b"id: 1")
        api.streams.close()
        assert waiting.read_all() == b'500 34|{"message":"server shutting down"}'
        client.read_all()
        with pytest.raises(falcon.HTTPError):
            api.streams.answer(falcon.testing.create_req(), falcon.Response(), a_feed(api))
    with following(api) as late:
        assert late.read_all() == b"200 None|"
