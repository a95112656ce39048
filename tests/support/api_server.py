"""A server on a Unix socket that answers as an engine's API would, byte by byte as a test wants it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

Act = Callable[[socket.socket], None]
"""Answers one request; the connection is closed after it."""

VERSION = json.dumps({"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10"}).encode()


class ApiServer:
    """Answers the request whose path ends with a given text by its act; `/version` is known."""

    def __init__(self, path: Path) -> None:
        self.place = f"unix://{path}"
        self.acts: dict[str, Act] = {"/version": answer(200, VERSION)}
        self.requests: list[str] = []
        self.heads: list[str] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(16)
        threading.Thread(target=self._accept, name="api-server", daemon=True).start()

    def close(self) -> None:
        """Accept no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), name="api-answer", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (piece := connection.recv(65536)):
                    return
                head += piece
            line = head.split(b"\r\n", 1)[0].decode()
            path = line.split(" ")[1].partition("?")[0]
            self.requests.append(line)
            self.heads.append(head.decode("latin-1"))
            act = next((act for end, act in self.acts.items() if path.endswith(end)), answer(404, b"{}"))
            act(connection)


def answer(status: int, body: bytes) -> Act:
    """A whole answer."""

    def act(connection: socket.socket) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + body)

    return act


def chunked(*chunks: bytes, ends: bool = True, gate: threading.Event | None = None) -> Act:
    """Chunks, each sent by itself; without `ends` the connection breaks after them. `gate` holds back the last step."""

    def act(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in chunks:
            connection.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if gate is not None:
            gate.wait(20.0)
        if ends:
            connection.sendall(b"0\r\n\r\n")

    return act


def frame(stream: int, data: bytes) -> bytes:
    """A piece of a log as Docker sends it."""
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


@contextmanager
def an_api_server(directory: Path) -> Iterator[ApiServer]:
    """A server on a socket in this directory."""
    server = ApiServer(directory / "api.sock")
    try:
        yield server
    finally:
        server.close()
