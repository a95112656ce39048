"""The client for an engine's socket: what the SDK asks for arrives as it would otherwise, over as few connections as can be."""

from __future__ import annotations

import io
import json
import socketserver
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.support.waiting import wait_until
from torkd.runtime.containers.differences import DOCKER
from torkd.runtime.containers.engine import EngineError, ResourceBusy, ResourceMissing
from torkd.runtime.containers.sdk_engine import Client, SdkEngine, open_client
from torkd.runtime.containers.socket_client import SocketClient

VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10"}


class Api(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Keeps connections, and notes what comes over them."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Handler)
        self.connections = 0
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: dict[str, tuple[int, object]] = {"/version": (200, VERSION)}
        self.gate = threading.Event()
        """What the answer to a wait waits for."""
        self.sends_head_first = False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Api

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def answer(self) -> None:
        url = urlsplit(self.path)
        path = url.path.removeprefix("/v1.41")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path != "/version":
            self.server.asked.append((self.command, path, dict(parse_qsl(url.query)), body))
        status, document = self.server.answers.get(path, (404, {"message": f"no {path}"}))
        data = b"" if status in {204, 304} else json.dumps(document).encode()
        if path.endswith("/wait") and not self.server.sends_head_first:
            self.server.gate.wait(20)
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.flush()
        if path.endswith("/wait"):
            self.server.gate.wait(20)
        self.wfile.write(data)

    def __getattr__(self, name: str) -> object:
        """Every method is answered alike."""
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with Api(tmp_path / "api.sock") as api:
        thread = threading.Thread(target=lambda: api.serve_forever(0.01), daemon=True)
        thread.start()
        yield api
        api.gate.set()
        api.shutdown()
        thread.join()


@pytest.fixture
def engine(api: Api) -> Iterator[SdkEngine]:
    place = f"unix://{api.server_address}"
    engine = SdkEngine(lambda: open_client(place), place=place, differences=DOCKER)
    yield engine
    engine.close()


def test_calls_arrive_whole_over_one_connection(api: Api, engine: SdkEngine) -> None:
    api.gate.set()
    api.answers |= {
        "/containers/create": (201, {"Id": "c1"}),
        "/containers/a/start": (204, None),
        "/containers/a/wait": (200, {"StatusCode": 3}),
        "/containers/a": (204, None),
        "/containers/a/archive": (200, None),
        "/networks/create": (201, {"Id": "n"}),
    }
    assert engine.create_container("ä b", {"Image": "bb", "Env": ["A=ü"]}) == "c1"
    engine.put_archive("a", "/x y", b"\0tar")
    engine.start_container("a")
    assert engine.wait_container("a") == 3
    engine.remove_container("a")
    engine.create_network("net", labels={"a": "b"})

    by_path = {path: (method, query, body) for method, path, query, body in api.asked}
    method, query, body = by_path["/containers/create"]
    assert (method, query, json.loads(body)) == ("POST", {"name": "ä b"}, {"Image": "bb", "Env": ["A=ü"]})
    assert by_path["/containers/a/archive"] == ("PUT", {"path": "/x y"}, b"\0tar")
    method, query, _ = by_path["/containers/a"]
    assert (method, query) == ("DELETE", {"v": "True", "link": "False", "force": "True"})
    assert json.loads(by_path["/networks/create"][2])["CheckDuplicate"] is True
    assert api.connections == 1


@pytest.mark.parametrize("place", ["unix://PATH", "unix:/PATH", "unix://PATH/"])
def test_the_socket_is_where_the_sdk_takes_an_address_to_be(api: Api, place: str) -> None:
    client = SocketClient(place.replace("PATH", str(api.server_address)), timeout=20, max_pool_size=1)
    assert client.version()["ApiVersion"] == "1.41"
    client.close()


def test_an_address_without_a_path_is_the_usual_socket(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docker.utils.utils.DEFAULT_UNIX_SOCKET", f"http+unix://{api.server_address}")
    client = open_client("unix://")
    assert client.version()["ApiVersion"] == "1.41"
    client.close()


@pytest.mark.parametrize(
    ("status", "kind"), [(404, ResourceMissing), (409, ResourceBusy), (500, EngineError), (400, EngineError)]
)
def test_a_refusal_is_told_in_the_engines_words(
    api: Api, engine: SdkEngine, status: int, kind: type[EngineError]
) -> None:
    api.answers["/containers/a/start"] = (status, {"message": "it can't be"})
    with pytest.raises(EngineError, match=r"^it can't be$") as caught:
        engine.start_container("a")
    assert type(caught.value) is kind


def test_what_is_so_already_is_no_refusal(api: Api, engine: SdkEngine) -> None:
    api.answers["/containers/a/start"] = (304, None)
    engine.start_container("a")


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirection_is_no_success(api: Api, engine: SdkEngine, status: int) -> None:
    api.answers |= {path: (status, {}) for path in ("/containers/a/start", "/containers/a/logs")}
    with pytest.raises(EngineError, match=rf"^the engine answered {status} .*: redirections are not followed$"):
        engine.start_container("a")
    with pytest.raises(EngineError, match=rf"^the engine answered {status} "):
        engine.follow_log("a")


def test_many_calls_at_once_are_no_reason_to_warn(
    api: Api, engine: SdkEngine, caplog: pytest.LogCaptureFixture
) -> None:
    api.answers["/containers/a/wait"] = (200, {"StatusCode": 7})
    with ThreadPoolExecutor(100) as pool:
        codes = [pool.submit(engine.wait_container, "a") for _ in range(100)]
        wait_until(lambda: len(api.asked) == 100)
        api.gate.set()
        assert {code.result() for code in codes} == {7}
    assert not caplog.records


def test_what_is_no_plain_call_goes_the_sdks_own_way(api: Api, engine: SdkEngine) -> None:
    api.answers["/containers/a/archive"] = (200, None)
    client = engine._connected()
    assert client.put_archive("a", "/", io.BytesIO(b"tar"))
    assert api.asked[-1] == ("PUT", "/containers/a/archive", {"path": "/"}, b"tar")


@pytest.mark.parametrize("head_first", [False, True])
def test_a_brief_wait_ends_without_the_container(api: Api, engine: SdkEngine, head_first: bool) -> None:
    api.sends_head_first = head_first
    api.answers["/containers/a/wait"] = (200, {"StatusCode": 7})
    assert engine.wait_briefly("a", 0.05) is None
    api.gate.set()
    assert engine.wait_briefly("a", 20) == 7


def test_a_brief_wait_by_ssh_is_none_at_all() -> None:
    def connect() -> Client:
        raise AssertionError("nothing is to be asked")

    assert SdkEngine(connect, place="ssh://me@192.0.2.7", differences=DOCKER).wait_briefly("a", 0.05) is None


def test_a_brief_wait_for_a_container_that_is_gone_says_so(api: Api, engine: SdkEngine) -> None:
    api.gate.set()
    with pytest.raises(ResourceMissing, match="no /containers/a/wait"):
        engine.wait_briefly("a", 20)
