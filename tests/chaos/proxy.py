"""A wire between a daemon and a server that can be cut: what goes through it is held back, as on a network that is down.

Nothing is refused and nothing is closed, so that both sides have to find out by themselves.
"""

from __future__ import annotations

import selectors
import socket
import threading
from types import TracebackType

_CHUNK = 1 << 16
_LOOK_SECONDS = 0.05


class Wire:
    """Carries connections to one port of this machine; a context manager."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._whole = threading.Event()
        self._whole.set()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._accept, name="wire", daemon=True)]

    def __enter__(self) -> Wire:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._whole.set()
        self._listener.close()

    def cut(self) -> None:
        """Let nothing through."""
        self._whole.clear()

    def mend(self) -> None:
        """Let everything through again, what was held back first."""
        self._whole.set()

    def _accept(self) -> None:
        self._listener.settimeout(_LOOK_SECONDS)
        while not self._over.is_set():
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            thread = threading.Thread(target=self._carry, args=(near,), name="wire", daemon=True)
            thread.start()

    def _carry(self, near: socket.socket) -> None:
        self._whole.wait()
        near.settimeout(None)
        try:
            far = socket.create_connection(self._target, timeout=5)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        with near, far, selectors.DefaultSelector() as ready:
            ready.register(near, selectors.EVENT_READ, far)
            ready.register(far, selectors.EVENT_READ, near)
            while not self._over.is_set():
                for key, _ in ready.select(_LOOK_SECONDS):
                    self._whole.wait()
                    if not _pass_on(key.fileobj, key.data):
                        return


def _pass_on(source: object, sink: socket.socket) -> bool:
    """False when the connection is over."""
    assert isinstance(source, socket.socket)
    try:
        data = source.recv(_CHUNK)
        sink.sendall(data)
    except OSError:
        return False
    return bool(data)
