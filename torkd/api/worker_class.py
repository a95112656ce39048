"""The serving process: gunicorn's threads for requests, and a way out of them for answers that last.

TERM starts the drain at once while requests are still answered; INT and QUIT make it short; when it is done the streams
end, the last requests are answered, and everything is closed.
"""

from __future__ import annotations

import errno
import logging
import os
import selectors
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import falcon
import msgspec
from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.http import errors as http_errors
from gunicorn.http import get_parser, wsgi
from gunicorn.sock import ssl_wrap_socket
from gunicorn.workers.gthread import TConn, ThreadWorker

from tork.errors import TorkError, Unavailable
from torkd.api.arbiter import READY, STOP_NOW
from torkd.api.departure import LINGER_SECONDS, Leaving
from torkd.api.reception import MOST_WAITING, RECEIVE_SECONDS, Arrival, Incoming
from torkd.api.response import MOST_UNSENT, STALLED_SECONDS, CompactResponse, Outgoing, head_of
from torkd.api.served import Served
from torkd.api.streams.body import DETACHABLE, DetachedBody

log = logging.getLogger(__name__)

_DETACHED = object()
_LAST_REQUESTS_SECONDS = 2
_ORPHAN_SECONDS = 3.0
_TRY_AGAIN = 1
# unlike gunicorn's code for "can't boot", this one lets the arbiter start a successor
_IDLE_SECONDS = 0.1
_UNREAD_SECONDS = 0.05
# of a body that nobody has read, what is there already is dropped; the rest is not worth a thread
_TOO_LARGE = 413
_PAUSE_SECONDS = 0.1
_TOO_MANY_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_CLIENT_ERRORS: tuple[tuple[type[Exception], int], ...] = (
    (http_errors.LimitRequestLine, 414),
    (http_errors.LimitRequestHeaders, 431),
    (http_errors.ForbiddenProxyRequest, 403),
    (http_errors.UnsupportedTransferCoding, 501),
    (http_errors.ExpectationFailed, 417),
    (http_errors.ParseException, 400),
    (ssl.SSLError, 400),
)


class StreamingWorker(ThreadWorker):
    """`app.start()` makes what is served, in this process."""

    served: Served

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._orders: set[str] = set()
        self._is_draining = False
        self._incoming: dict[TConn, Incoming] = {}
        self._leaving: dict[TConn, Leaving] = {}
        self._outgoing: dict[TConn, Outgoing] = {}
        self._handed_over: dict[TConn, float] = {}
        """Requests that threads have, the oldest first: until when they may wait for more of one."""

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
        self._drop_late()
        orders, self._orders = self._orders, set()
        if "stop" in orders:
            self.cfg.set("graceful_timeout", 0)
            self.alive = False
        elif orders & {"drain", "drain shortly"} and not self._is_draining:
            self._is_draining = True
            self._in_thread(self._drain, "drain shortly" in orders)
        if "reload" in orders:
            self._in_thread(self._reload)

    def accept(self, listener: Any) -> None:
        """A process that may open no more files takes no more clients for a moment; it does not end."""
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in _TOO_MANY_FILES:
                raise
            log.warning("no more clients can be taken for the moment: %s", error.strerror)
            time.sleep(_PAUSE_SECONDS)

    def enqueue_req(self, conn: TConn) -> None:
        """Give the request to a thread when it has arrived."""
        conn.sock.setblocking(False)
        if not self._begin(conn):
            return
        incoming = Incoming(until=time.monotonic() + RECEIVE_SECONDS)
        parser: Any = conn.parser
        incoming.data += parser.unreader.take_buffered()
        if not self._pass_on(conn, incoming):
            self._incoming[conn] = incoming
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_more, conn))

    def _begin(self, conn: TConn) -> bool:
        """Make a new connection ready to be read; with TLS its first bytes are the handshake. Whether it is of use."""
        if conn.parser is not None:
            return True
        try:
            if self.cfg.is_ssl:
                conn.sock = ssl_wrap_socket(conn.sock, self.cfg)
        except OSError as error:
            log.warning(
                "no TLS with a client: coordinator.tls.cert, coordinator.tls.key or the connection is at fault: %s",
                error,
            )
            self.nr_conns -= 1
            conn.close()
            return False
        conn.parser = get_parser(self.cfg, conn.sock, conn.client)
        return True

    def _on_more(self, conn: TConn, client: Any) -> None:
        """More of a request is there."""
        self._pass_on(conn, self._incoming[conn])

    def _pass_on(self, conn: TConn, incoming: Incoming) -> bool:
        """Take what is there; whether the connection is somebody else's now."""
        arrival = incoming.receive(conn.sock)
        if arrival is Arrival.PART:
            return False
        self._stop_watching(conn)
        if arrival is Arrival.TOO_LONG:
            self.handle_error(None, conn.sock, conn.client, http_errors.LimitRequestHeaders("the head has no end"))
            self._leave(conn)
            return True
        conn.data_ready = True
        conn.init()
        parser: Any = conn.parser
        parser.unreader.unread(bytes(incoming.data))
        self._hand_over(conn)
        return True

    def _hand_over(self, conn: TConn) -> None:
        self._handed_over[conn] = time.monotonic() + RECEIVE_SECONDS
        super().enqueue_req(conn)

    def _end_waiting(self, now: float) -> None:
        """A thread that still waits for more of a request gets its end; one that answers is not disturbed."""
        while self._handed_over:
            conn, until = next(iter(self._handed_over.items()))
            if now <= until:
                return
            del self._handed_over[conn]
            try:
                socket.socket.shutdown(conn.sock, socket.SHUT_RD)  # that of TLS would end the encryption as well
            except OSError:
                pass  # the client is gone

    def _drop_late(self) -> None:
        """Those whose request does not arrive; when we stop, also those that have not begun one."""
        now = time.monotonic()
        self._end_waiting(now)
        late = [
            conn
            for conn, incoming in self._incoming.items()
            if now > incoming.until or not (self.alive or incoming.data)
        ]
        waiting = sum(len(incoming.data) for incoming in self._incoming.values())
        if waiting > MOST_WAITING:
            for conn, incoming in sorted(self._incoming.items(), key=lambda item: len(item[1].data), reverse=True):
                late.append(conn)
                waiting -= len(incoming.data)
                if waiting <= MOST_WAITING:
                    break
        for conn in dict.fromkeys(late):
            self._stop_watching(conn)
            self.nr_conns -= 1
            conn.close()
        for conn in [conn for conn, leaving in self._leaving.items() if now > leaving.until]:
            self._see_off(conn)
        owed = sum(outgoing.owed for outgoing in self._outgoing.values())
        for conn, outgoing in sorted(self._outgoing.items(), key=lambda item: item[1].until):
            if now <= outgoing.until and owed <= MOST_UNSENT:
                break
            owed -= outgoing.owed
            self._give_up(conn)

    def _send_on(self, conn: TConn, outgoing: Outgoing) -> None:
        """Send the rest of an answer as the client takes it."""
        conn.sock.setblocking(False)
        self._outgoing[conn] = outgoing
        self.poller.register(conn.sock, selectors.EVENT_WRITE, partial(self._on_writable, conn))

    def _on_writable(self, conn: TConn, client: Any) -> None:
        try:
            if self._outgoing[conn].send(conn.sock, time.monotonic()):
                del self._outgoing[conn]
                self.poller.unregister(conn.sock)
                self._leave(conn)
        except OSError:
            self._give_up(conn)

    def _give_up(self, conn: TConn) -> None:
        del self._outgoing[conn]
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def _leave(self, conn: TConn) -> None:
        """Close the connection once the client has what was sent."""
        leaving = Leaving(until=time.monotonic() + (LINGER_SECONDS if self.alive else _IDLE_SECONDS))
        if leaving.begin(conn.sock):
            self.nr_conns -= 1
            conn.close()
            return
        self._leaving[conn] = leaving
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_leaving, conn))

    def _on_leaving(self, conn: TConn, client: Any) -> None:
        if self._leaving[conn].is_over(conn.sock):
            self._see_off(conn)

    def _see_off(self, conn: TConn) -> None:
        del self._leaving[conn]
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def _stop_watching(self, conn: TConn) -> None:
        if self._incoming.pop(conn, None) is not None:
            self.poller.unregister(conn.sock)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Answer one request; whether the connection can be used for another, or `_DETACHED`."""
        req._expected_100_continue = False  # whoever collected the request has said it
        made, environ = wsgi.create(req, conn.sock, conn.client, conn.server, self.cfg, response_class=CompactResponse)
        assert isinstance(made, CompactResponse)
        resp = made
        environ["wsgi.multithread"] = True
        environ[DETACHABLE] = True
        if not self.alive or not self.cfg.keepalive or len(self.keepalived_conns) >= self.max_keepalived:
            resp.force_close()
        body = self.served.app(environ, resp.start_response)
        if isinstance(body, DetachedBody):
            resp.force_close()
            body.detach(conn.sock, head_of(resp), chunked=resp.is_chunked(), gone=self._connection_gone)
            return _DETACHED
        if resp.status_code == _TOO_LARGE:
            resp.force_close()  # the rest of the body is not worth reading
        for part in body:
            resp.write(part)
        resp.close()
        if resp.left:
            return Outgoing(left=resp.left, until=time.monotonic() + STALLED_SECONDS)
        return not resp.should_close()

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        """gunicorn would wait here for a client to close, and with it everybody whose request is still to be collected."""
        self._handed_over.pop(conn, None)
        result = False if fs.cancelled() else True if fs.exception() is not None else fs.result()
        if result is _DETACHED:
            return
        if isinstance(result, Outgoing):
            self._send_on(conn, result)
        elif result:
            super().finish_request(conn, fs)
        else:
            self._leave(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """A request that is no proper HTTP, or a failure beyond the application: JSON, as everything else."""
        status = next((status for kind, status in _CLIENT_ERRORS if isinstance(exc, kind)), 500)
        if status == 500:
            log.error("a request failed unexpectedly", exc_info=exc)
        else:
            log.debug("a request was no proper HTTP: %s", exc)
        line = falcon.code_to_http_status(status)
        body = msgspec.json.encode({"message": line.partition(" ")[2]})
        head = f"HTTP/1.1 {line}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            util.write_nonblock(client, head.encode() + body)
        except OSError:
            pass  # whoever sent it is gone

    def _keepalive_after(self, conn: TConn, keepalive: Any) -> Any:
        if keepalive is _DETACHED or isinstance(keepalive, Outgoing):
            return keepalive
        parser: Any = conn.parser
        return bool(keepalive and parser.finish_body(deadline=time.monotonic() + _UNREAD_SECONDS))

    def _cap_keepalive(self, deadline: float) -> None:
        soon = min(deadline, time.monotonic() + _IDLE_SECONDS)
        super()._cap_keepalive(soon)  # type: ignore[misc] # newer than the stubs

    def _signal_handler(self, order: str) -> Callable[[int, Any], None]:
        def handle(number: int, frame: Any) -> None:
            self._orders.add(order)
            self._wake()

        return handle

    def _wake(self) -> None:
        self.method_queue.defer(lambda: None)

    def _connection_gone(self) -> None:
        self.method_queue.defer(self._forget_connection)

    def _forget_connection(self) -> None:
        self.nr_conns -= 1

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
            self._wake()

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
