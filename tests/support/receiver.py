"""A receiver of webhooks: a real HTTP server in a thread, which writes down what it is sent and answers as it is told."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.certificates import CERTIFICATE_FILE, KEY_FILE
from tests.support.postgres import free_port
from tests.support.waiting import wait_until


@dataclass(frozen=True, kw_only=True)
class Received:
    """One request."""

    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def id(self) -> str:
        """By which a receiver knows a repetition."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> str:
        """The event's name."""
        return self.headers["x-tork-event"]

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def state(self) -> str:
        """Of the job or task that is told of."""
        return str(self.json["state"])


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What is answered."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Receiver:
    """Answers every request as `answer` says; at a port that stays its own while it is down."""

    def __init__(
        self, answer: Callable[[Received], Reply] = lambda received: Reply(), *, certificates: Path | None = None
    ) -> None:
        """With a directory of `certificates` it speaks TLS."""
        self.answer = answer
        self._certificates = certificates
        self.port = free_port()
        self.received: list[Received] = []
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Receiver:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def url(self, path: str = "/hook") -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self.port}{path}"

    def start(self) -> None:
        """Listen."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                received = Received(path=self.path, headers=headers, body=body)
                outer.received.append(received)
                reply = outer.answer(received)
                try:
                    self.send_response(reply.status)
                    for name, value in {"Content-Length": "0", **reply.headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                except OSError:
                    self.close_connection = True  # the sender has gone

            def log_message(self, *arguments: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a sender that was killed

        self._server = Server(("127.0.0.1", self.port), Handler)
        if self._certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificates / CERTIFICATE_FILE, self._certificates / KEY_FILE)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Be down: connections are refused."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(timeout=10)
            self._server = None

    def at(self, path: str) -> list[Received]:
        """What came to this path, repetitions included."""
        return [received for received in list(self.received) if received.path == path]

    def states_at(self, path: str) -> list[str]:
        """The states told to this path, each request once, in the order of their first arrival."""
        return [
            received.state for received in {received.id: received for received in reversed(self.at(path))}.values()
        ][::-1]

    def wait_for(self, count: int, path: str = "/hook", within: float = 20) -> list[Received]:
        """What came to this path once so many different requests have."""
        wait_until(
            lambda: len({received.id for received in self.at(path)}) >= count,
            timeout=within,
            describe=lambda: str([(received.event, received.body[:200]) for received in self.at(path)]),
        )
        return self.at(path)
