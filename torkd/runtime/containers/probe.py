"""Waiting until a sidecar is ready: its HTTP answer is 200. Nothing else counts, and redirects are not followed.

The wait ends at once when the run is stopped or the sidecar has ended, also in the middle of a try.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import quote

from tork.errors import RuntimeFailure
from tork.task import Probe
from torkd.runtime.protocol import LogSink
from torkd.runtime.stopping import StopSignal
from torkd.runtime.time_limit import timeout_seconds

DEFAULT_PATH = "/"
DEFAULT_TIMEOUT = "1m"
TRY_SECONDS = 3.0
PAUSE_SECONDS = 1.0
FIRST_PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.35)
"""After the first tries: a sidecar that is ready soon costs no second."""
_LOOK_SECONDS = 0.1
"""How often the sidecar's end is looked for meanwhile."""
_PASSES = 200
_NO_ANSWER = "no answer"
_IN_PATHS = "/?&=%~!$'()*+,;:@[]"


def wait_until_ready(
    probe: Probe,
    host: str,
    port: int,
    *,
    log: LogSink,
    stop: StopSignal,
    exit_code: Callable[[], int | None],
) -> None:
    """Return once the sidecar answers at `host` and `port`, where its port is published. Failed tries go to `log`.

    `exit_code` tells the sidecar's when it has ended, None before, and is asked often. Raises `RuntimeFailure` when the probe's
    time is over or the sidecar has ended, and `stop.error()`.
    """
    timeout = probe.timeout or DEFAULT_TIMEOUT
    ends_at = time.monotonic() + (timeout_seconds(timeout) or 0.0)
    path = _request_path(probe.path)
    watch = _Watch(stop, exit_code, ends_at)
    pauses = iter(FIRST_PAUSES_SECONDS)
    failure = told = ""
    while True:
        tried = _try_once(host, port, path, watch)
        if tried == "":
            return
        failure = tried or failure or _NO_ANSWER
        pause = next(pauses, None)
        if tried and (pause is None or tried != told):  # of quick tries, only the news
            log.write(f"probe of {path} on port {probe.port}: {failure}\n".encode())
            told = tried
        if watch.wait(PAUSE_SECONDS if pause is None else pause):
            raise RuntimeFailure(f"probe timed out after {timeout}: {failure}")


class _Watch:
    """What ends the waiting: the run's stop, the sidecar's end, and the time."""

    def __init__(self, stop: StopSignal, exit_code: Callable[[], int | None], ends_at: float) -> None:
        self._stop = stop
        self._exit_code = exit_code
        self._ends_at = ends_at

    def wait(self, seconds: float, until: threading.Event | None = None) -> bool:
        """Wait at most so long, or until the event; whether the probe's time is over. Raises when there is nothing to wait for."""
        wakes_at = min(time.monotonic() + seconds, self._ends_at)
        while True:
            self._look()
            rest = min(_LOOK_SECONDS, max(0.0, wakes_at - time.monotonic()))
            if until.wait(rest) if until else self._stop.wait(rest):
                if until:
                    return False
            elif time.monotonic() >= wakes_at:
                return wakes_at >= self._ends_at

    def _look(self) -> None:
        if self._stop.is_set():
            raise self._stop.error()
        code = self._exit_code()
        if code is not None:
            raise RuntimeFailure(f"it ended with exit code {code} before its probe passed")


class _Try:
    """One request, in a thread of its own, so that it can be given up at any moment."""

    def __init__(self, host: str, port: int, path: str) -> None:
        self.done = threading.Event()
        self.failure = _NO_ANSWER
        self._path = path
        self._connection = http.client.HTTPConnection(host, port, timeout=TRY_SECONDS)
        threading.Thread(target=self._run, name="probe", daemon=True).start()

    def give_up(self) -> None:
        """End the request; its thread goes away."""
        sock = self._connection.sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    def _run(self) -> None:
        try:
            self._connection.request("GET", self._path, headers={"Connection": "close"})
            with self._connection.getresponse() as response:
                passed = response.status == _PASSES
                self.failure = "" if passed else f"status {response.status} (right would be {_PASSES})"
        except TimeoutError:
            self.failure = _NO_ANSWER
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.failure = _reason(error)
        finally:
            self._connection.close()
            self.done.set()


def _try_once(host: str, port: int, path: str, watch: _Watch) -> str | None:
    """Why it failed; an empty text when it passed, None when the probe's time ended before the try did."""
    request = _Try(host, port, path)
    try:
        if watch.wait(TRY_SECONDS, until=request.done):
            return None
        return request.failure if request.done.is_set() else _NO_ANSWER
    finally:
        request.give_up()


def _request_path(path: str) -> str:
    """What stands in the request: no text of a task can end its line."""
    return quote("/" + (path or DEFAULT_PATH).removeprefix("/"), safe=_IN_PATHS)


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError):
        return "connection closed without an answer"
    return " ".join(str(error).split()) or type(error).__name__
