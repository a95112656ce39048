"""Clients that are a burden, each kind for as long as a block lasts. Sockets and little else: what is measured shares the machine."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

FOLLOWERS = 1000
MOST_STREAMS = 2000
BEYOND = 50
NEXT_SECONDS = 0.02
"""Between clients that ask for much at once: what they are asked for is work, which is not what is shown here."""
SLOW = 200
REQUESTS_A_MINUTE = 10_000
ASKERS = 8
LARGE = 400_000
"""Characters of an answer that nobody reads."""
LARGE_TASKS = 1000
LARGE_LIST = f"{{{{ sequence(1, {2 * LARGE_TASKS}) }}}}"
MOST_GROWN = 600
"""Megabytes: 100 answers of 9 MB are more."""

_FOLLOW = b"GET /events HTTP/1.1\r\nHost: load\r\n\r\n"
_HALF_HANDSHAKE = b"\x16\x03\x01"
_HALF = b"POST /jobs HTTP/1.1\r\nHost: load\r\nContent-Type: text/yaml\r\nContent-Length: 100000\r\n\r\nname: "

Told = Callable[[], str]
"""What came of it: a phrase for the table. Raises `AssertionError` when something did not."""
Burden = Callable[[Daemon], AbstractContextManager[Told]]


@contextmanager
def idle_followers(daemon: Daemon) -> Iterator[Told]:
    """Streams of events in which nothing happens."""
    with ExitStack() as stack:
        followers = _connect(daemon, stack, FOLLOWERS, _FOLLOW)
        statuses = [_status(follower) for follower in followers]
        assert set(statuses) == {200}, f"followers were answered {sorted(set(statuses))}"
        yield lambda: f"{len(followers)} followed"


@contextmanager
def too_many_followers(daemon: Daemon) -> Iterator[Told]:
    """As many streams as there may be, and some more, which are sent away."""
    with ExitStack() as stack:
        followers = _connect(daemon, stack, MOST_STREAMS, _FOLLOW)
        statuses = [_status(follower) for follower in followers]
        assert set(statuses) == {200}, f"followers were answered {sorted(set(statuses))}"
        refused = []
        for _ in range(BEYOND):
            connection = open_connection(daemon)
            connection.request("GET", "/events")
            answer = connection.getresponse()
            refused.append((answer.status, bool(answer.getheader("Retry-After"))))
            connection.close()
        assert set(refused) == {(503, True)}, f"those beyond {MOST_STREAMS} were answered {sorted(set(refused))}"
        yield lambda: f"{len(followers)} followed, {len(refused)} were told to come again"


@contextmanager
def half_open(daemon: Daemon) -> Iterator[Told]:
    """Requests that stop half-way, and connections on which nothing is said."""
    with ExitStack() as stack:
        _connect(daemon, stack, SLOW // 2, b"")
        _connect(daemon, stack, SLOW // 2, _HALF)
        yield lambda: f"{SLOW} were open"


@contextmanager
def half_handshakes(daemon: Daemon) -> Iterator[Told]:
    """Clients that begin with TLS and go no further, and such as say nothing."""
    with ExitStack() as stack:
        for sent in (_HALF_HANDSHAKE, b""):
            _connect(daemon, stack, SLOW // 2, sent, in_clear=True)
        yield lambda: f"{SLOW} were open"


@contextmanager
def large_senders(daemon: Daemon) -> Iterator[Told]:
    """The beginning of a large body, and no more."""
    with ExitStack() as stack:
        _connect(daemon, stack, SLOW, _HALF.replace(b"100000", b"9000000"))
        yield lambda: f"{SLOW} sent no more"


@contextmanager
def slow_senders(daemon: Daemon) -> Iterator[Told]:
    """A byte a second."""
    with ExitStack() as stack:
        senders = _connect(daemon, stack, SLOW, _HALF)
        stop = threading.Event()

        def dribble() -> None:
            while not stop.wait(1.0):
                for sender in senders:
                    sender.send(b"a")

        thread = threading.Thread(target=dribble)
        thread.start()
        try:
            yield lambda: f"{SLOW} sent"
        finally:
            stop.set()
            thread.join()


@contextmanager
def no_readers(daemon: Daemon) -> Iterator[Told]:
    """Clients that ask for a lot and read nothing."""
    job_id = daemon.submit({"name": "large", "description": "x" * LARGE, "tasks": [{"name": "t", "run": "true"}]})
    ask = f"GET /jobs/{job_id} HTTP/1.1\r\nHost: load\r\n\r\n".encode()
    with ExitStack() as stack:
        _connect(daemon, stack, SLOW // 2, ask * 8, receive_buffer=4096, pause_seconds=NEXT_SECONDS)
        yield lambda: f"{SLOW // 2} read nothing"


@contextmanager
def no_readers_of_large_jobs(daemon: Daemon) -> Iterator[Told]:
    """Clients that ask for a job of 9 MB and read nothing."""
    task = {"name": "t", "queue": "nobody", "run": "x" * 9000}
    job_id = daemon.submit({"name": "large", "tasks": [{"name": "e", "each": {"list": LARGE_LIST, "task": task}}]})
    wait_until(lambda: len(daemon.job(job_id).get("execution", [])) > LARGE_TASKS, timeout=60)
    before = _megabytes(daemon)
    ask = f"GET /jobs/{job_id} HTTP/1.1\r\nHost: load\r\n\r\n".encode()
    with ExitStack() as stack:
        _connect(daemon, stack, SLOW // 2, ask, receive_buffer=4096)

        def told() -> str:
            grown = _megabytes(daemon) - before
            assert grown < MOST_GROWN, f"the daemon grew by {grown} MB, {MOST_GROWN} would be right"
            return f"{SLOW // 2} read nothing, the daemon grew by {grown} MB"

        yield told


@contextmanager
def many_requests(daemon: Daemon) -> Iterator[Told]:
    """Lists of jobs, at an even pace, over kept connections."""
    stop = threading.Event()
    statuses: list[int] = []
    began_at = time.monotonic()

    def ask(number: int) -> None:
        connection = open_connection(daemon)
        pause = 60 * ASKERS / REQUESTS_A_MINUTE
        at = time.monotonic() + pause * number / ASKERS
        while not stop.wait(max(at - time.monotonic(), 0)):
            at += pause
            connection.request("GET", "/jobs")
            answer = connection.getresponse()
            json.loads(answer.read())
            statuses.append(answer.status)
        connection.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(ASKERS)]
    for thread in threads:
        thread.start()

    def told() -> str:
        rate = len(statuses) / (time.monotonic() - began_at) * 60
        assert set(statuses) == {200}, f"requests were answered {sorted(set(statuses))}"
        return f"{rate:.0f} requests a minute were answered"

    try:
        yield told
    finally:
        stop.set()
        for thread in threads:
            thread.join()


BURDENS = (
    idle_followers,
    too_many_followers,
    half_open,
    slow_senders,
    large_senders,
    no_readers,
    no_readers_of_large_jobs,
    many_requests,
)
TLS_BURDENS = (half_handshakes, half_open, slow_senders, no_readers)


def open_connection(daemon: Daemon) -> http.client.HTTPConnection:
    """With TLS where the daemon speaks it; `SSL_CERT_FILE` names the authority."""
    if daemon.endpoint.startswith("https"):
        return http.client.HTTPSConnection("localhost", daemon.port, timeout=20)
    return http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20)


def _megabytes(daemon: Daemon) -> int:
    return int(daemon.children("server")[0].memory_info().rss // 2**20)


def _connect(
    daemon: Daemon,
    stack: ExitStack,
    count: int,
    sent: bytes,
    *,
    receive_buffer: int = 0,
    in_clear: bool = False,
    pause_seconds: float = 0,
) -> list[socket.socket]:
    connections = []
    secure = None if in_clear or daemon.endpoint.startswith("http:") else ssl.create_default_context()
    for _ in range(count):
        connection = stack.enter_context(socket.socket())
        connection.settimeout(20)
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.connect(("127.0.0.1", daemon.port))
        if secure is not None:
            connection = stack.enter_context(secure.wrap_socket(connection, server_hostname="localhost"))
        connection.sendall(sent)
        connections.append(connection)
        time.sleep(pause_seconds)
    return connections


def _status(connection: socket.socket) -> int:
    return int(connection.recv(4096).split(b" ", 2)[1])
