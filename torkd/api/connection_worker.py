"""gunicorn's threads for requests, and connections that hold none of them while they wait for their client.

One thread, the loop, watches all connections: a request goes to a thread when it has arrived, and what a client does not
take of its answer at once comes back.
"""

from __future__ import annotations

import errno
import logging
import selectors
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, cast

from gunicorn.http import get_parser, wsgi
from gunicorn.sock import ssl_wrap_socket
from gunicorn.workers.gthread import TConn, ThreadWorker

from tork.errors import TorkError
from torkd.api.departure import LINGER_SECONDS, Leaving
from torkd.api.reception import MOST_BODY, MOST_WAITING, RECEIVE_SECONDS, Arrival, Incoming
from torkd.api.response import MOST_UNSENT, CompactResponse, Outgoing, head_of
from torkd.api.served import Served
from torkd.api.streams.body import DETACHABLE, DetachedBody
from torkd.api.turned_away import status_of, turn_away
from torkd.memory import give_back_freed_memory

log = logging.getLogger(__name__)

_DETACHED = object()
_IDLE_SECONDS = 0.1
_UNREAD_SECONDS = 0.05
# of a body that nobody has read, what is there already is dropped; the rest is not worth a thread
_TOO_LARGE = 413
_TOO_MUCH_HEAD = 431
_MAKERS = 2
# threads that make the parts of large answers
_LOOK_SECONDS = 0.05
_TELL_SECONDS = 60.0
_TRIM_SECONDS = 5.0
_MUCH_OWED = 4 * 1024 * 1024
# bytes of answers: once they are sent memory is given back
_SMALL = 16 * 1024
# a request of this size is never too much
_PAUSE_SECONDS = 0.1
_TOO_MANY_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class ConnectionWorker(ThreadWorker):
    """Answers requests with what is served."""

    served: Served

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._incoming: dict[TConn, Incoming] = {}
        self._leaving: dict[TConn, Leaving] = {}
        self._outgoing: dict[TConn, Outgoing] = {}
        self._arrived: dict[TConn, int] = {}
        """Requests that threads have, or that wait for one, with their bytes."""
        self._bytes_arrived = 0
        self._most_body = max(MOST_BODY, cast(Any, self.app).body_limit)
        self._most_waiting = max(MOST_WAITING, 2 * self._most_body)
        self._look_at = self._tell_at = self._trim_at = 0.0
        self._given_up = 0
        self._has_owed_much = False

    def init_process(self) -> None:
        self._makers = ThreadPoolExecutor(_MAKERS, thread_name_prefix="large-answers")
        super().init_process()

    def notify(self) -> None:
        """Called in every round of the loop."""
        super().notify()
        self._drop_late()

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
        incoming = Incoming(until=time.monotonic() + RECEIVE_SECONDS, most_body=self._most_body)
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
            self._close_now(conn)
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
        if arrival is not Arrival.WHOLE:
            self._turn_away(conn, _TOO_MUCH_HEAD if arrival is Arrival.TOO_LONG else _TOO_LARGE)
        elif self._is_too_much(len(incoming.data)):
            self._turn_away(conn, 503, "too many requests wait to be answered: try again later")
        else:
            self._hand_over(conn, bytes(incoming.data))
        return True

    def _hand_over(self, conn: TConn, data: bytes) -> None:
        """To a thread."""
        self._arrived[conn] = len(data)
        self._bytes_arrived += len(data)
        conn.data_ready = True
        conn.init()
        parser: Any = conn.parser
        parser.unreader.unread(data)
        super().enqueue_req(conn)

    def _is_too_much(self, size: int) -> bool:
        return size > _SMALL and self._bytes_arrived > 0 and self._bytes_arrived + size > self._most_waiting

    def _turn_away(self, conn: TConn, status: int, message: str = "") -> None:
        turn_away(conn.sock, status, message)
        self._leave(conn)

    def _drop_late(self) -> None:
        """Those whose request does not arrive or whose answer is not taken, and of these the worst when all hold too much together."""
        now = time.monotonic()
        if self.alive and now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        for conn in [conn for conn, leaving in self._leaving.items() if now > leaving.until]:
            self._see_off(conn)
        self._drop_unarrived(now)
        self._drop_untaken(now)
        if now >= self._trim_at and self._has_owed_much:
            self._has_owed_much, self._trim_at = False, now + _TRIM_SECONDS
            self._makers.submit(give_back_freed_memory)

    def _drop_unarrived(self, now: float) -> None:
        """When we stop, also those that have not begun."""
        for conn, incoming in list(self._incoming.items()):
            if incoming.is_late(now) or not (self.alive or incoming.data):
                self._stop_watching(conn)
                if incoming.data:
                    self._turn_away(conn, 408, "the request did not arrive in time")
                else:
                    self._close_now(conn)
        waiting = sum(len(incoming.data) for incoming in self._incoming.values())
        if waiting <= self._most_waiting:
            return
        for conn, incoming in sorted(self._incoming.items(), key=lambda item: item[1].burden(now), reverse=True):
            self._stop_watching(conn)
            self._turn_away(conn, 503, "too many requests are on their way: try again later")
            waiting -= len(incoming.data)
            if waiting <= self._most_waiting:
                return

    def _drop_untaken(self, now: float) -> None:
        owed = sum(outgoing.owed for outgoing in self._outgoing.values())
        self._has_owed_much |= owed > _MUCH_OWED
        for conn, outgoing in sorted(self._outgoing.items(), key=lambda item: item[1].until):
            is_stalled = now > outgoing.until
            if not is_stalled and (owed <= MOST_UNSENT or len(self._outgoing) == 1):
                break
            owed -= outgoing.owed
            self._given_up += not is_stalled
            self._give_up(conn)
        if self._given_up and now >= self._tell_at:
            log.warning(
                "clients do not take their answers: %d of these were given up, for all were more than %d MB together",
                self._given_up,
                MOST_UNSENT // 2**20,
            )
            self._given_up, self._tell_at = 0, now + _TELL_SECONDS

    def _go_on(self, conn: TConn, outgoing: Outgoing) -> None:
        """Have the rest of an answer sent as the client takes it, and made before that."""
        if outgoing.is_over:
            self._after(conn, outgoing.keeps)
        elif outgoing.owed:
            self._outgoing[conn] = outgoing
            self.poller.register(conn.sock, selectors.EVENT_WRITE, partial(self._on_writable, conn))
        else:
            makers = self._makers if outgoing.is_costly else self.tpool
            making = makers.submit(outgoing.go_on, conn.sock)
            making.add_done_callback(lambda made: self.method_queue.defer(self._on_made, conn, outgoing, made))

    def _on_made(self, conn: TConn, outgoing: Outgoing, made: Future[Any]) -> None:
        error = made.exception()
        if error is None:
            self._go_on(conn, outgoing)
            return
        if isinstance(error, TorkError):
            log.warning("an answer was cut off: %s", error)
        elif not isinstance(error, OSError):
            log.error("an answer was cut off unexpectedly", exc_info=error)
        self._close_now(conn)

    def _on_writable(self, conn: TConn, client: Any) -> None:
        outgoing = self._outgoing[conn]
        try:
            outgoing.send(conn.sock, time.monotonic())
        except OSError:
            self._give_up(conn)
            return
        if not outgoing.owed:
            del self._outgoing[conn]
            self.poller.unregister(conn.sock)
            self._go_on(conn, outgoing)

    def _give_up(self, conn: TConn) -> None:
        outgoing = self._outgoing.pop(conn)
        self.poller.unregister(conn.sock)
        self.tpool.submit(outgoing.close)  # whatever a plugin does there
        self._close_now(conn)

    def _close_now(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close()

    def _leave(self, conn: TConn) -> None:
        """Close the connection once the client has what was sent."""
        leaving = Leaving(until=time.monotonic() + (LINGER_SECONDS if self.alive else _IDLE_SECONDS))
        if leaving.begin(conn.sock):
            self._close_now(conn)
            return
        self._leaving[conn] = leaving
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_leaving, conn))

    def _on_leaving(self, conn: TConn, client: Any) -> None:
        if self._leaving[conn].is_over(conn.sock):
            self._see_off(conn)

    def _see_off(self, conn: TConn) -> None:
        del self._leaving[conn]
        self.poller.unregister(conn.sock)
        self._close_now(conn)

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
        outgoing = Outgoing(resp, body, time.monotonic())
        conn.sock.setblocking(False)
        outgoing.send_part(conn.sock)  # what goes wrong here can still be told
        outgoing.keeps = not resp.should_close()
        return outgoing

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        """gunicorn would wait here for a client to close, and with it everybody whose request is still to be collected."""
        self._bytes_arrived -= self._arrived.pop(conn, 0)
        if fs.cancelled() or fs.exception() is not None:
            self._close_now(conn)
            return
        result = fs.result()
        if isinstance(result, Outgoing):
            self._go_on(conn, result)
        elif result is not _DETACHED:
            self._after(conn, result)

    def _after(self, conn: TConn, keeps: bool) -> None:
        """All was answered: the connection waits for another request, or ends."""
        if keeps:
            done: Future[bool] = Future()
            done.set_result(True)
            super().finish_request(conn, done)
        else:
            self._leave(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """A request that is no proper HTTP, or a failure beyond the application."""
        status = status_of(exc)
        if status == 500:
            log.error("a request failed unexpectedly", exc_info=exc)
        else:
            log.debug("a request was no proper HTTP: %s", exc)
        turn_away(client, status)

    def _keepalive_after(self, conn: TConn, keepalive: Any) -> Any:
        if isinstance(keepalive, Outgoing) and keepalive.keeps:
            parser: Any = conn.parser
            keepalive.keeps = bool(parser.finish_body(deadline=time.monotonic() + _UNREAD_SECONDS))
        return keepalive

    def _cap_keepalive(self, deadline: float) -> None:
        soon = min(deadline, time.monotonic() + _IDLE_SECONDS)
        super()._cap_keepalive(soon)  # type: ignore[misc] # newer than the stubs

    def wake(self) -> None:
        self.method_queue.defer(lambda: None)

    def _connection_gone(self) -> None:
        self.method_queue.defer(self._forget_connection)

    def _forget_connection(self) -> None:
        self.nr_conns -= 1
