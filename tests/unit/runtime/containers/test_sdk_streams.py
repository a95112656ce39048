"""The engine's two long answers through the real SDK: wherever the bytes are cut, whatever is in them, and when they end early."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api_server import ApiServer, an_api_server, answer, chunked, frame
from tests.support.waiting import wait_until
from torkd.runtime.containers.differences import DOCKER
from torkd.runtime.containers.engine import (
    Credentials,
    EngineError,
    EngineUnavailable,
    PullEvent,
    ResourceBusy,
    ResourceMissing,
)
from torkd.runtime.containers.sdk_engine import SdkEngine, open_client

FRAMES = frame(1, b"out\n") + frame(2, b"err") + frame(1, b"") + frame(2, b"or\n" * 100) + frame(1, b"\0\xff")
STREAMS = {"stdout": b"out\n\0\xff", "stderr": b"err" + b"or\n" * 100}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with an_api_server(tmp_path) as server:
        yield server


@pytest.fixture
def sdk(server: ApiServer) -> Iterator[SdkEngine]:
    engine = SdkEngine(lambda: open_client(server.place), place=server.place, differences=DOCKER)
    yield engine
    engine.close()


def streams(engine: SdkEngine) -> dict[str, bytes]:
    found = {"stdout": b"", "stderr": b""}
    for stream, data in engine.follow_log("c"):
        found[stream] += data
    return found


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


class TestLog:
    @pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 13, 1000])
    def test_frames_may_be_cut_anywhere(self, server: ApiServer, sdk: SdkEngine, size: int) -> None:
        server.acts["/containers/c/logs"] = chunked(*pieces(FRAMES, size))
        assert streams(sdk) == STREAMS

    def test_a_large_log_comes_whole(self, server: ApiServer, sdk: SdkEngine) -> None:
        block = bytes(range(256)) * 64
        server.acts["/containers/c/logs"] = chunked(*[frame(1, block)] * 200)
        assert streams(sdk)["stdout"] == block * 200

    def test_an_unknown_stream_is_the_output(self, server: ApiServer, sdk: SdkEngine) -> None:
        server.acts["/containers/c/logs"] = chunked(frame(0, b"a") + frame(3, b"b"))
        assert streams(sdk) == {"stdout": b"ab", "stderr": b""}

    def test_it_is_asked_for_from_its_beginning_and_on(self, server: ApiServer, sdk: SdkEngine) -> None:
        server.acts["/containers/c/logs"] = chunked()
        streams(sdk)
        assert server.requests[-1].startswith("GET /v1.41/containers/c/logs?stdout=1&stderr=1&follow=1 ")

    def test_pieces_come_as_they_are_printed(self, server: ApiServer, sdk: SdkEngine) -> None:
        gate = threading.Event()
        server.acts["/containers/c/logs"] = chunked(frame(1, b"now\n"), gate=gate)
        news = iter(sdk.follow_log("c"))
        assert next(news) == ("stdout", b"now\n")
        gate.set()
        assert list(news) == []

    @pytest.mark.parametrize("cut", [0, 1, 8, 10, len(FRAMES)])
    def test_a_connection_that_breaks_is_told_after_what_came(
        self, server: ApiServer, sdk: SdkEngine, cut: int
    ) -> None:
        server.acts["/containers/c/logs"] = chunked(*pieces(FRAMES[:cut], 5), ends=False)
        with pytest.raises(EngineUnavailable, match=r"^Docker at unix:.* does not answer: "):
            streams(sdk)

    def test_a_connection_that_breaks_inside_a_chunk_is_told(self, server: ApiServer, sdk: SdkEngine) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        server.acts["/containers/c/logs"] = lambda connection: connection.sendall(head + b"ff\r\n" + frame(1, b"x"))
        with pytest.raises(EngineUnavailable):
            streams(sdk)

    @pytest.mark.parametrize(
        ("status", "kind"), [(404, ResourceMissing), (409, ResourceBusy), (500, EngineError)], ids=str
    )
    def test_a_refusal_is_told(self, server: ApiServer, sdk: SdkEngine, status: int, kind: type[EngineError]) -> None:
        server.acts["/containers/c/logs"] = answer(status, b'{"message":"there is no log"}')
        with pytest.raises(EngineError, match=r"^there is no log$") as caught:
            streams(sdk)
        assert type(caught.value) is kind

    @pytest.mark.parametrize("has_begun", [True, False], ids=["after some", "before any"])
    def test_another_thread_may_end_the_reading(self, server: ApiServer, sdk: SdkEngine, has_begun: bool) -> None:
        gate, seen = threading.Event(), threading.Event()
        server.acts["/containers/c/logs"] = chunked(*[frame(1, b"x")] * has_begun, gate=gate)
        stream = sdk.follow_log("c")
        ended: list[str] = []

        def read() -> None:
            for _ in stream:
                seen.set()
            ended.append("quietly")

        reader = threading.Thread(target=read)
        reader.start()
        if has_begun:
            assert seen.wait(20.0)
        stream.close()
        reader.join(20.0)
        assert ended == ["quietly"]
        stream.close()
        gate.set()

    def test_one_that_was_closed_before_it_is_read_is_empty(self, server: ApiServer, sdk: SdkEngine) -> None:
        gate = threading.Event()
        server.acts["/containers/c/logs"] = chunked(gate=gate)
        stream = sdk.follow_log("c")
        stream.close()
        assert list(stream) == []
        gate.set()


def lines(*news: object) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\r\n" for one in news)


LAYER = {"status": "Downloading", "id": "abc", "progressDetail": {"current": 5, "total": 10}}


class TestPull:
    @pytest.mark.parametrize("size", [1, 5, 10_000])
    def test_news_may_be_cut_anywhere(self, server: ApiServer, sdk: SdkEngine, size: int) -> None:
        body = lines({"status": "Pulling from x", "id": "latest"}, LAYER, {}, {"status": "done", "progressDetail": {}})
        server.acts["/images/create"] = chunked(*pieces(body, size))
        assert list(sdk.pull_image("x", None)) == [
            PullEvent(layer="latest", status="Pulling from x"),
            PullEvent(layer="abc", status="Downloading", current=5, total=10),
            PullEvent(),
            PullEvent(status="done"),
        ]

    def test_an_error_in_the_news_is_the_pulls_failure(self, server: ApiServer, sdk: SdkEngine) -> None:
        server.acts["/images/create"] = chunked(lines(LAYER, {"error": "no  space\nleft", "errorDetail": {}}))
        with pytest.raises(EngineError, match=r"^no space left$"):
            list(sdk.pull_image("x", None))

    def test_the_last_line_needs_no_end(self, server: ApiServer, sdk: SdkEngine) -> None:
        server.acts["/images/create"] = chunked(lines({"error": "bad"}).strip())
        with pytest.raises(EngineError, match=r"^bad$"):
            list(sdk.pull_image("x", None))

    def test_a_line_that_is_no_news_is_passed_over(self, server: ApiServer, sdk: SdkEngine) -> None:
        server.acts["/images/create"] = chunked(b"garbage\n\n" + lines(LAYER))
        assert len(list(sdk.pull_image("x", None))) == 1

    @pytest.mark.parametrize(
        ("status", "kind"), [(404, ResourceMissing), (500, EngineError), (401, EngineError)], ids=str
    )
    def test_a_refusal_is_told(self, server: ApiServer, sdk: SdkEngine, status: int, kind: type[EngineError]) -> None:
        server.acts["/images/create"] = answer(status, b'{"message":"pull access denied for x"}')
        with pytest.raises(kind, match=r"^pull access denied for x$"):
            list(sdk.pull_image("x", None))

    def test_a_connection_that_breaks_is_told(self, server: ApiServer, sdk: SdkEngine) -> None:
        server.acts["/images/create"] = chunked(lines(LAYER), ends=False)
        with pytest.raises(EngineUnavailable):
            list(sdk.pull_image("x", None))

    def test_nothing_is_asked_before_it_is_read(self, server: ApiServer, sdk: SdkEngine) -> None:
        sdk.pull_image("x", None)
        assert not server.requests

    @pytest.mark.parametrize(
        ("image", "asked"),
        [
            ("x", "fromImage=x&tag=latest"),
            ("x:1", "fromImage=x&tag=1"),
            ("host:5000/a/x", "fromImage=host%3A5000%2Fa%2Fx&tag=latest"),
            ("x@sha256:" + "a" * 64, "fromImage=x&tag=sha256%3A" + "a" * 64),
        ],
        ids=["plain", "tag", "port", "digest"],
    )
    def test_it_asks_for_one_image(self, server: ApiServer, sdk: SdkEngine, image: str, asked: str) -> None:
        server.acts["/images/create"] = chunked()
        list(sdk.pull_image(image, None))
        assert server.requests[-1] == f"POST /v1.41/images/create?{asked} HTTP/1.1"

    def test_it_may_be_given_up_by_another_thread(self, server: ApiServer, sdk: SdkEngine) -> None:
        gate = threading.Event()
        server.acts["/images/create"] = chunked(lines(LAYER), gate=gate)
        stream = sdk.pull_image("x", None)
        seen: list[PullEvent] = []
        reader = threading.Thread(target=lambda: seen.extend(stream))
        reader.start()
        wait_until(lambda: len(server.requests) > 1)
        stream.close()
        reader.join(20.0)
        assert not reader.is_alive()
        gate.set()

    @pytest.mark.parametrize(
        ("credentials", "header"),
        [
            (None, "e30="),
            (Credentials(username="u", password="p"), "eyJ1c2VybmFtZSI6ICJ1IiwgInBhc3N3b3JkIjogInAifQ=="),
            (Credentials(identity_token="t"), "eyJpZGVudGl0eXRva2VuIjogInQifQ=="),
        ],
        ids=["nobody", "password", "token"],
    )
    def test_credentials_go_in_a_header(
        self, server: ApiServer, sdk: SdkEngine, credentials: Credentials | None, header: str
    ) -> None:
        server.acts["/images/create"] = chunked()
        list(sdk.pull_image("x", credentials))
        assert f"X-Registry-Auth: {header}\r\n" in server.heads[-1]
