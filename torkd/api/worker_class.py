"""The serving process: what is served in it, and its end.

TERM starts the drain at once while requests are still answered; INT and QUIT make it short; when it is done the streams
end, the last requests are answered, and everything is closed.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from gunicorn.arbiter import Arbiter

from tork.errors import TorkError, Unavailable
from torkd.api.arbiter import READY, STOP_NOW
from torkd.api.connection_worker import ConnectionWorker

log = logging.getLogger(__name__)

_LAST_REQUESTS_SECONDS = 2
_ORPHAN_SECONDS = 3.0
_TRY_AGAIN = 1
# unlike gunicorn's code for "can't boot", this one lets the arbiter start a successor


class StreamingWorker(ConnectionWorker):
    """`app.start()` makes what is served, in this process."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._orders: set[str] = set()
        self._is_draining = False

    def load_wsgi(self) -> None:
        self.cfg.set("graceful_timeout", _LAST_REQUESTS_SECONDS)
        application: Any = self.app
        try:
            self.served = application.start()
        except Exception as error:
            if isinstance(error, Unavailable) and application.was_ready:
                log.warning("this server can't start yet, another will try: %s", error)
                sys.exit(_TRY_AGAIN)
            sentence = str(error)
            if not isinstance(error, TorkError):
                log.exception("the start failed unexpectedly")
                sentence = f"can't start: {type(error).__name__}: {error} (the log before this line says where)"
            self._tell(" ".join(sentence.split()).encode() + b"\n")
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
        self.wsgi = self.served.app

    def init_signals(self) -> None:
        super().init_signals()
        for number, order in (
            (signal.SIGTERM, "drain"),
            (signal.SIGINT, "drain shortly"),
            (signal.SIGQUIT, "drain shortly"),
            (signal.SIGHUP, "reload"),
            (STOP_NOW, "stop"),
        ):
            signal.signal(number, self._signal_handler(order))

    def run(self) -> None:
        self._tell(READY)
        try:
            super().run()
        finally:
            self.served.end_streams()
            self._close()

    def _close(self) -> None:
        """An orphan does not wait long: its parent held the database, and a new daemon may want the port."""
        if os.getppid() == self.ppid:
            self.served.close()
            return
        closing = threading.Thread(target=self._leave_and_close, name="close", daemon=True)
        closing.start()
        closing.join(_ORPHAN_SECONDS)

    def _leave_and_close(self) -> None:
        try:
            self.served.leave()
        except Exception:
            log.exception("what runs could not be left to a successor")
        self.served.close()

    def notify(self) -> None:
        """Called in every round of the loop: the place to do what signals asked for."""
        super().notify()
        orders, self._orders = self._orders, set()
        if "stop" in orders:
            self.cfg.set("graceful_timeout", 0)
            self.alive = False
        elif orders & {"drain", "drain shortly"} and not self._is_draining:
            self._is_draining = True
            self._in_thread(self._drain, "drain shortly" in orders)
        if "reload" in orders:
            self._in_thread(self._reload)

    def _signal_handler(self, order: str) -> Callable[[int, Any], None]:
        def handle(number: int, frame: Any) -> None:
            self._orders.add(order)
            self.wake()

        return handle

    def _in_thread(self, work: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=work, args=arguments, name="signal", daemon=True).start()

    def _drain(self, short: bool) -> None:
        try:
            self.served.drain(short=short)
        except Exception:
            log.exception("draining failed")
        try:
            self.served.end_streams()
        finally:
            self.alive = False
            self.wake()

    def _reload(self) -> None:
        try:
            self.served.reload()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the new settings, the old ones stay
            log.error("the settings were not read again: %s", error)

    def _tell(self, news: bytes) -> None:
        application: Any = self.app
        os.write(application.tell, news)
        if os.getppid() == self.ppid:
            os.kill(self.ppid, STOP_NOW)
