"""A proxy between a client and the API that does what networks and load balancers do: resets, silence, 502s, closed idle connections.

What becomes of a connection is drawn when it comes. The proxy gives every one to the next of its servers that takes it.
"""

from __future__ import annotations

import itertools
import random
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType

_CHUNK = 1 << 16
_LOOK_SECONDS = 0.1
_REQUEST_SECONDS = 0.05
"""A request that is refused unread is over when nothing more of it comes for this long."""
_LONGEST_STALL_SECONDS = 4.0
_LONGEST_IDLE_SECONDS = 3.0
_REFUSALS = ("502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout")
_PAGE = b"<html><head><title>an error</title></head><body>of a proxy</body></html>"


class Fault(StrEnum):
    """What may become of a connection."""

    NONE = "carried as it is"
    PIECES = "carried in pieces of a few bytes"
    RESET = "reset"
    CLOSE = "closed in the midst of an answer"
    STALL = "stalled for seconds"
    HALF_OPEN = "half open"
    REFUSAL = "5xx in place of the server"
    LOST_ANSWER = "5xx after the server has carried out the request"
    IDLE = "closed as idle"
    NOBODY = "5xx or reset, since no server took it"


_WEIGHTS = {
    Fault.NONE: 30,
    Fault.PIECES: 8,
    Fault.RESET: 14,
    Fault.CLOSE: 10,
    Fault.STALL: 10,
    Fault.HALF_OPEN: 3,
    Fault.REFUSAL: 8,
    Fault.LOST_ANSWER: 7,
    Fault.IDLE: 10,
}


@dataclass
class _Plan:
    """What becomes of one connection."""

    chance: random.Random
    fault: Fault
    after_bytes: int
    """Of answers, for faults in the midst of one."""
    at_request: int
    """For faults in place of an answer."""
    idle_seconds: float

    @classmethod
    def drawn(cls, chance: random.Random) -> _Plan:
        """By chance; small answers are as likely to be hit as large ones."""
        fault = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        after_bytes, at_request = int(10 ** chance.uniform(0, 4.3)), chance.randint(1, 2)
        return cls(chance, fault, after_bytes, at_request, chance.uniform(0.3, _LONGEST_IDLE_SECONDS))


class FaultyProxy:
    """Carries connections to the ports of the servers; a context manager."""

    def __init__(self, servers: Sequence[int], *, seed: int, half_open_seconds: float) -> None:
        """A half-open connection says nothing for so long, and is reset then, as whoever has forgotten it would."""
        self._servers = servers
        self._seed = seed
        self._half_open_seconds = half_open_seconds
        self._turn = itertools.count()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.done: Counter[str] = Counter()
        """How often each fault has come."""

    def __enter__(self) -> FaultyProxy:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._listener.close()

    def _accept(self) -> None:
        self._listener.settimeout(_LOOK_SECONDS)
        for number in itertools.count():
            while True:
                try:
                    near, _ = self._listener.accept()
                    break
                except TimeoutError:
                    if self._over.is_set():
                        return
                except OSError:
                    return
            near.settimeout(None)
            plan = _Plan.drawn(random.Random(f"{self._seed} {number}"))
            threading.Thread(target=self._serve, args=(near, plan), name="proxy", daemon=True).start()

    def _serve(self, near: socket.socket, plan: _Plan) -> None:
        with near:
            try:
                far = self._reach_a_server()
                if far is None:
                    self._turn_away(near, plan)
                    return
                with far:
                    _Carrier(self, near, far, plan).carry()
            except OSError:
                return  # one of the two is gone, and so is the other with the end of this

    def _reach_a_server(self) -> socket.socket | None:
        first = next(self._turn)
        for number in range(len(self._servers)):
            port = self._servers[(first + number) % len(self._servers)]
            try:
                far = socket.create_connection(("127.0.0.1", port), timeout=5)
            except OSError:
                continue
            far.settimeout(None)
            return far
        return None

    def _turn_away(self, near: socket.socket, plan: _Plan) -> None:
        self.note(Fault.NOBODY)
        if plan.chance.random() < 0.5:
            refuse(near, plan.chance)
        else:
            reset(near)

    def note(self, fault: Fault) -> None:
        """Count it."""
        with self._lock:
            self.done[fault] += 1

    def rest(self, seconds: float) -> None:
        """Do nothing, unless all is over."""
        self._over.wait(seconds)

    @property
    def is_over(self) -> bool:
        """Whether nobody wants it any more."""
        return self._over.is_set()

    @property
    def half_open_seconds(self) -> float:
        """How long a half-open connection says nothing."""
        return self._half_open_seconds


class _Carrier:
    """One connection."""

    def __init__(self, proxy: FaultyProxy, near: socket.socket, far: socket.socket, plan: _Plan) -> None:
        self.proxy, self.near, self.far, self.plan = proxy, near, far, plan
        self.requests = 0
        self.is_asking = False
        self.answered_bytes = 0
        self.is_faulty = True

    def carry(self) -> None:
        """Until it is over, one way or the other."""
        quiet_since = time.monotonic()
        while not self.proxy.is_over:
            ready, _, _ = select.select([self.near, self.far], [], [], _LOOK_SECONDS)
            if ready:
                quiet_since = time.monotonic()
            elif self.plan.fault is Fault.IDLE and time.monotonic() - quiet_since > self.plan.idle_seconds:
                self.proxy.note(Fault.IDLE)
                return
            for source in ready:
                data = source.recv(_CHUNK)
                if not data or not (self._ask(data) if source is self.near else self._answer(data)):
                    return
        return

    def _ask(self, data: bytes) -> bool:
        """False when the connection is over."""
        if not self.is_asking:
            self.is_asking = True
            self.requests += 1
        if self.requests == self.plan.at_request:
            if self.plan.fault is Fault.REFUSAL:
                self.proxy.note(Fault.REFUSAL)
                refuse(self.near, self.plan.chance)
                return False
            if self.plan.fault is Fault.LOST_ANSWER:
                self.far.sendall(data)
                self._lose_the_answer()
                return False
        self.far.sendall(data)
        return True

    def _lose_the_answer(self) -> None:
        while True:
            ready, _, _ = select.select([self.near, self.far], [], [], _LOOK_SECONDS)
            if self.far in ready or self.proxy.is_over:
                break
            if self.near in ready:
                data = self.near.recv(_CHUNK)
                if not data:
                    return
                self.far.sendall(data)
        self.proxy.note(Fault.LOST_ANSWER)
        refuse(self.near, self.plan.chance)

    def _answer(self, data: bytes) -> bool:
        """False when the connection is over."""
        self.is_asking = False
        fault, left = self.plan.fault, self.plan.after_bytes - self.answered_bytes
        self.answered_bytes += len(data)
        if fault is Fault.PIECES:
            self._send_in_pieces(data)
            return True
        in_the_midst = fault in {Fault.RESET, Fault.CLOSE, Fault.STALL, Fault.HALF_OPEN}
        if not in_the_midst or not self.is_faulty or len(data) < left:
            self.near.sendall(data)
            return True
        self.is_faulty = False
        self.proxy.note(fault)
        self.near.sendall(data[:left])
        if fault is Fault.STALL:
            self.proxy.rest(self.plan.chance.uniform(0.5, _LONGEST_STALL_SECONDS))
            self.near.sendall(data[left:])
            return True
        if fault is Fault.HALF_OPEN:
            self._say_nothing()
        if fault in {Fault.RESET, Fault.HALF_OPEN}:
            reset(self.near)
        return False

    def _send_in_pieces(self, data: bytes) -> None:
        if not self.answered_bytes - len(data):
            self.proxy.note(Fault.PIECES)
        self.near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data:
            size = self.plan.chance.randint(1, 200)
            self.near.sendall(data[:size])
            data = data[size:]

    def _say_nothing(self) -> None:
        """The server hears that the client is gone; the client hears nothing, whatever it sends."""
        self.far.close()
        over_at = time.monotonic() + self.proxy.half_open_seconds
        while time.monotonic() < over_at and not self.proxy.is_over:
            ready, _, _ = select.select([self.near], [], [], _LOOK_SECONDS)
            if ready and not self.near.recv(_CHUNK):
                return


def refuse(near: socket.socket, chance: random.Random) -> None:
    """Take the request, and answer as a proxy does whose server does not."""
    while select.select([near], [], [], _REQUEST_SECONDS)[0]:
        if not near.recv(_CHUNK):
            return
    head = f"HTTP/1.1 {chance.choice(_REFUSALS)}\r\nContent-Type: text/html\r\nContent-Length: {len(_PAGE)}\r\n"
    near.sendall(head.encode() + b"Connection: close\r\n\r\n" + _PAGE)


def reset(near: socket.socket) -> None:
    """Have the other side see a reset, not an end."""
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    near.close()
