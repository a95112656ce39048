"""What goes wrong between us and an engine, as one sentence: the system's or the engine's words, not those of libraries."""

from __future__ import annotations

import gc
import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import urllib3

from tests.support.api_server import ApiServer, an_api_server, answer
from torkd.runtime.containers import sdk_engine
from torkd.runtime.containers.differences import DOCKER
from torkd.runtime.containers.engine import EngineError, EngineUnavailable, ResourceBusy, ResourceMissing
from torkd.runtime.containers.sdk_engine import SdkEngine, open_client
from torkd.runtime.containers.sdk_errors import lost

ADVICE = "(right would be a running Docker whose socket torkd may use; DOCKER_HOST says where it is)"
LIBRARIES = ("urllib3", "requests", "HTTPConnection", "Pool(", "Errno", "Max retries", "object at 0x", "Traceback")


# The SDK forgets to close a socket that could not be connected.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def forgotten_sockets() -> Iterator[None]:
    """Are closed within the test that is to blame."""
    yield
    gc.collect()


def stay_silent(connection: socket.socket) -> None:
    connection.recv(1)


def engine_at(place: str) -> SdkEngine:
    return SdkEngine(lambda: open_client(place), place=place, differences=DOCKER)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with an_api_server(tmp_path) as server:
        yield server


def test_a_socket_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable) as caught:
        engine_at(f"unix://{tmp_path}/d.sock").ping()
    assert str(caught.value) == (
        f"Docker at unix://{tmp_path}/d.sock does not answer: No such file or directory {ADVICE}"
    )


def test_a_socket_that_nobody_serves_is_named(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as unserved:
        unserved.bind(str(tmp_path / "d.sock"))
        with pytest.raises(EngineUnavailable) as caught:
            engine_at(f"unix://{tmp_path}/d.sock").has_image("x")
    assert str(caught.value) == f"Docker at unix://{tmp_path}/d.sock does not answer: Connection refused"


def test_a_port_that_nobody_serves_is_named() -> None:
    with socket.socket() as unserved:
        unserved.bind(("127.0.0.1", 0))
        port = unserved.getsockname()[1]
    with pytest.raises(EngineUnavailable) as caught:
        engine_at(f"tcp://127.0.0.1:{port}").has_image("x")
    assert str(caught.value) == f"Docker at tcp://127.0.0.1:{port} does not answer: Connection refused"


@pytest.mark.parametrize(
    "place", ["nonsense://x", "tcp://host:port", "unix://", "", "ssh://"], ids=["scheme", "port", "unix", "none", "ssh"]
)
def test_an_address_that_is_none_is_an_error_of_ours(place: str) -> None:
    with pytest.raises(EngineError) as caught:
        engine_at(place).has_image("x")
    assert "\n" not in str(caught.value)


def test_a_connection_closed_without_an_answer_is_told(server: ApiServer) -> None:
    engine = engine_at(server.place)
    server.acts["/images/x/json"] = lambda _: None
    with pytest.raises(EngineUnavailable) as caught:
        engine.has_image("x")
    assert not [word for word in LIBRARIES if word in str(caught.value)]
    assert str(caught.value).startswith(f"Docker at {server.place} does not answer: ")
    engine.close()


def test_an_engine_that_dies_before_it_answers_is_told_in_words() -> None:
    gone = http.client.RemoteDisconnected("Remote end closed connection without response")
    error = requests.exceptions.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", gone))
    assert str(lost("Docker at x", error)) == "Docker at x does not answer: it closed the connection"


def test_an_answer_that_takes_too_long_is_told(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk_engine, "_PING_SECONDS", 0.05)
    engine = engine_at(server.place)
    server.acts["/_ping"] = stay_silent
    with pytest.raises(EngineUnavailable) as caught:
        engine.ping()
    assert str(caught.value) == f"Docker at {server.place} does not answer: it took too long {ADVICE}"
    engine.close()


def test_something_else_on_the_socket_is_told(server: ApiServer) -> None:
    server.acts["/version"] = answer(200, b"<html>")
    with pytest.raises(EngineUnavailable) as caught:
        engine_at(server.place).has_image("x")
    assert not [word for word in LIBRARIES if word in str(caught.value)]


def test_the_engine_is_asked_again_after_it_was_not_there(tmp_path: Path) -> None:
    engine = engine_at(f"unix://{tmp_path}/api.sock")
    with pytest.raises(EngineUnavailable):
        engine.ping()
    with an_api_server(tmp_path) as server:
        server.acts["/_ping"] = answer(200, b"OK")
        engine.ping()
    engine.close()


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (404, b'{"message":"No such image: x"}', ResourceMissing, "No such image: x"),
        (409, b'{"message":"it is in  use"}', ResourceBusy, "it is in use"),
        (500, b'{"message":"driver failed:\\n no"}', EngineError, "driver failed: no"),
        (500, b"plain words\n", EngineError, "plain words"),
        (500, b'{"cause":"x"}', EngineError, "PLACE gave an answer without 'message'"),
    ],
    ids=["missing", "busy", "failed", "plain", "strange"],
)
def test_a_refusal_is_told_in_the_engines_words(
    server: ApiServer, status: int, body: bytes, kind: type[EngineError], text: str
) -> None:
    engine = engine_at(server.place)
    server.acts["/containers/c/start"] = answer(status, body)
    with pytest.raises(kind) as caught:
        engine.start_container("c")
    assert type(caught.value) is kind
    assert str(caught.value) == text.replace("PLACE", f"Docker at {server.place}")
    engine.close()


def test_a_refusal_without_words_names_its_status(server: ApiServer) -> None:
    engine = engine_at(server.place)
    server.acts["/containers/c/start"] = answer(500, b"")
    with pytest.raises(EngineError, match="500"):
        engine.start_container("c")
    engine.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("remove_container", "/containers/x"),
        ("remove_volume", "/volumes/x"),
        ("remove_network", "/networks/x"),
        ("remove_image", "/images/x"),
    ],
)
def test_what_is_not_there_counts_as_removed(server: ApiServer, method: str, path: str) -> None:
    engine = engine_at(server.place)
    server.acts[path] = answer(404, b'{"message":"no such thing"}')
    getattr(engine, method)("x")
    assert server.requests[-1].startswith(f"DELETE /v1.41{path}")
    engine.close()
