"""gunicorn's parent process, with our ideas of signals: a second one stops now, HUP replaces no process.

A terminal or systemd may send one signal to parent and children alike. Therefore only the parent counts signals, and
tells its children with one of its own (`STOP_NOW`) when it is the second.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from torkd.notify import Notifier

STOP_NOW = signal.SIGUSR2
"""From parent to child: end at once. From child to parent: there is news in the pipe."""
_END_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
_LAST_SECONDS = 2.0
READY = b"\0ready\n"


class TorkArbiter(Arbiter):
    """`failure` is the sentence of a child that could not start."""

    def __init__(self, app: Any, notifier: Notifier) -> None:
        self.failure = ""
        self._notifier = notifier
        self._news, self._tell = os.pipe()
        os.set_blocking(self._news, False)
        app.tell = self._tell
        self._app = app
        self._ready_children = 0
        super().__init__(app)

    def handle_hup(self) -> None:
        self.kill_workers(signal.SIGHUP)

    def handle_usr1(self) -> None:
        """Log files are not ours to open again."""

    def handle_usr2(self) -> None:
        self._read_news()

    def handle_ttin(self) -> None:
        """The number of processes is `coordinator.processes`."""

    handle_ttou = handle_ttin

    def handle_chld(self) -> None:
        self._read_news()
        super().handle_chld()

    handle_cld = handle_chld

    def murder_workers(self) -> None:
        super().murder_workers()
        self._notifier.alive()

    def stop(self, graceful: bool = True) -> None:
        """Ask the children to end, and see that they do."""
        self._notifier.stopping()
        while self.LISTENERS:
            self.LISTENERS.pop().close()
        order = signal.SIGTERM if graceful else signal.SIGQUIT
        limit = time.monotonic() + self.cfg.graceful_timeout
        while self.WORKERS and time.monotonic() < limit:
            # Said again and again: a child that was just made may not listen yet, and twice does no harm.
            self.kill_workers(order)
            signals = self.wait_for_signals(timeout=0.5)
            if order != STOP_NOW and _END_SIGNALS.intersection(signals):
                order = STOP_NOW
                limit = min(limit, time.monotonic() + _LAST_SECONDS)
            self._reap()
            self._notifier.alive()
        self.kill_workers(signal.SIGKILL)
        self._reap()

    def _reap(self) -> None:
        self._read_news()
        try:
            self.reap_workers()
        except HaltServer:
            pass  # it is stopping anyway

    def _read_news(self) -> None:
        try:
            news = os.read(self._news, 65536)
        except BlockingIOError:
            return
        for line in news.splitlines(keepends=True):
            if line == READY:
                self._ready_children += 1
                self._app.was_ready = True
                if self._ready_children == self.num_workers:
                    self._notifier.ready()
            else:
                self.failure = line.decode(errors="replace").strip()
