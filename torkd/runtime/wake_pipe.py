"""Makes a stop signal visible to `poll`."""

from __future__ import annotations

import os
import threading
from types import TracebackType

from torkd.runtime.stopping import StopSignal


class WakePipe:
    """Its `fd` becomes readable when the signal is set. Nothing is written once it is closed, however late the signal."""

    def __init__(self, stop: StopSignal) -> None:
        self._lock = threading.Lock()
        self._is_open = True
        self.fd, self._writer = os.pipe()
        stop.on_set(self._wake)

    def __enter__(self) -> WakePipe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._is_open = False
            os.close(self.fd)
            os.close(self._writer)

    def _wake(self) -> None:
        with self._lock:
            if self._is_open:
                os.write(self._writer, b"!")
