"""Makes the requests of webhooks: the one home of the HTTP client.

A try takes a bounded time whatever the receiver does, redirections are not followed, and nothing of an address but its failure
is told, since it may hold a secret. Where private addresses are refused, the connection goes to the very address that was checked:
a name that means something else a moment later gains nothing.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar
from urllib.parse import unquote

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from torkd.hooks.host_names import HostNames, NoAddressInTime, Resolve
from torkd.hooks.private_addresses import is_private
from torkd.hooks.webhook_request import HookRequest, headers_of

TRY_SECONDS = 5.0
MOST_READ = 64 * 1024
"""Of an answer, so that its connection can be used again; of a longer one the connection is closed."""
_POOLS = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a try came to."""

    status: int | None = None
    """The HTTP status; None when there was no answer."""
    error: str = ""
    """Why there was none, in one clause."""
    retry_after: float | None = None
    """Seconds that the receiver asks to be left alone for."""
    is_final: bool = False
    """Whether another try would end the same."""
    was_cut: bool = False
    """Whether it was ended by `abort`: then nothing is known."""


class _Refused(Exception):
    """The address is private."""


@dataclass(slots=True, eq=False)
class _Try:
    """A try that is on its way; `lines` are the connections it has used."""

    deadline: float
    lines: list[_Line] = field(default_factory=list)
    is_late: bool = False
    was_cut: bool = False

    def cut(self) -> None:
        for line in list(self.lines):
            line.cut()


class _Line:
    """What both kinds of connection have besides: an end that can be cut from another thread, even amid a TLS handshake."""

    current: ClassVar[threading.local] = threading.local()
    allow_private: bool
    names: HostNames
    _end: socket.socket | None = None

    def take_part(self) -> None:
        attempt: _Try | None = getattr(self.current, "attempt", None)
        if attempt is not None and self not in attempt.lines:
            attempt.lines.append(self)

    def cut(self) -> None:
        end = self._end
        if end is not None:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def open(self, host: str, port: int, seconds: float | None) -> socket.socket:
        """Connect to one of the addresses of the host that are allowed."""
        self.take_part()
        addresses = self.names.addresses(host, port, self._left_of(seconds))
        if not self.allow_private:
            allowed = [address for address in addresses if not is_private(address)]
            if not allowed:
                raise _Refused(addresses[0] if addresses else host)
            addresses = allowed
        error: OSError = OSError("the host has no address")
        for address in addresses:
            try:
                line = socket.create_connection((address, port), timeout=self._left_of(seconds))
            except OSError as failure:
                error = failure
            else:
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._end = line.dup()
                return line
        raise error

    def _left_of(self, seconds: float | None) -> float | None:
        """All addresses of a host share the time of one try. Raises `TimeoutError` when it is over."""
        attempt: _Try | None = getattr(self.current, "attempt", None)
        if attempt is None:
            return seconds
        left = attempt.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left if seconds is None else min(left, seconds)

    def forget_end(self) -> None:
        if self._end is not None:
            self._end.close()
            self._end = None


def _seconds(timeout: Any) -> float | None:
    return timeout if isinstance(timeout, int | float) else TRY_SECONDS


class _PlainLine(_Line, HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return self.open(self._dns_host, self.port, _seconds(self.timeout))

    def request(self, *arguments: Any, **options: Any) -> None:
        self.take_part()
        super().request(*arguments, **options)

    def close(self) -> None:
        self.forget_end()
        super().close()


class _SecureLine(_Line, HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return self.open(self._dns_host, self.port, _seconds(self.timeout))

    def request(self, *arguments: Any, **options: Any) -> None:
        self.take_part()
        super().request(*arguments, **options)

    def close(self) -> None:
        self.forget_end()
        super().close()


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, in the order they should be tried."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


class WebhookSender:
    """Sends from any thread."""

    def __init__(
        self,
        *,
        secret: str = "",
        allow_private: bool = True,
        try_seconds: float = TRY_SECONDS,
        resolve: Resolve = resolve,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """`secret` signs; `trust` is whose certificates count, by default those that the system trusts."""
        self._secret, self._try_seconds = secret, try_seconds
        lines = {"allow_private": allow_private, "names": HostNames(resolve)}
        plain = type("PlainPool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": type("Plain", (_PlainLine,), lines)})
        secure = type(
            "SecurePool", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": type("Secure", (_SecureLine,), lines)}
        )
        self._pools = urllib3.PoolManager(
            num_pools=_POOLS, maxsize=4, retries=False, ssl_context=trust or ssl.create_default_context()
        )
        self._pools.pool_classes_by_scheme = {"http": plain, "https": secure}
        self._lock = threading.Lock()
        self._tries: set[_Try] = set()

    def send(self, request: HookRequest, *, delivery_id: str, event: str, now: datetime) -> Answer:
        """Try once. Never raises for what the receiver or the network does."""
        headers = headers_of(
            request, delivery_id=delivery_id, event=event, timestamp=int(now.timestamp()), secret=self._secret
        )
        attempt = _Try(time.monotonic() + self._try_seconds)
        with self._lock:
            self._tries.add(attempt)
        _Line.current.attempt = attempt
        try:
            return self._post(request, headers, now)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is this address's matter, and told with it
            return self._failure(error, attempt)
        finally:
            _Line.current.attempt = None
            with self._lock:
                self._tries.discard(attempt)

    def _post(self, request: HookRequest, headers: dict[str, str], now: datetime) -> Answer:
        url = urllib3.util.parse_url(request.url)
        if url.auth and not any(name.lower() == "authorization" for name in headers):
            headers |= urllib3.util.make_headers(basic_auth=unquote(url.auth))
        answer = self._pools.connection_from_host(url.host, url.port, url.scheme).urlopen(
            "POST",
            url.request_uri,
            body=request.body.encode(),
            # As UTF-8: the client writes what it takes for Latin-1.
            headers={name: value.encode().decode("latin-1") for name, value in headers.items()},
            timeout=urllib3.Timeout(total=self._try_seconds),
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        _read_to_the_end(answer)
        return Answer(status=answer.status, retry_after=_retry_after(answer.headers.get("Retry-After"), now))

    def _failure(self, error: Exception, attempt: _Try) -> Answer:
        if attempt.was_cut:
            return Answer(error="it was ended by the end of torkd", was_cut=True)
        if isinstance(error, _Refused):
            reason = f"its address {error} is private, and middleware.webhook.allow_private is false"
            return Answer(error=reason, is_final=True)
        if isinstance(error, NoAddressInTime):
            return Answer(
                error=f"its host is not found: no answer from the name service within {self._try_seconds:g} s"
            )
        is_late = attempt.is_late or time.monotonic() >= attempt.deadline
        if is_late or isinstance(error, urllib3.exceptions.TimeoutError | TimeoutError):
            return Answer(error=f"no answer within {self._try_seconds:g} s")
        return Answer(
            error=_reason(error), is_final=isinstance(error, ValueError | urllib3.exceptions.LocationValueError)
        )

    def cut_late(self) -> None:
        """End the tries that take too long in spite of every timeout: a receiver that sends a byte now and then resets those."""
        now = time.monotonic()
        for attempt in self._on_their_way():
            if now > attempt.deadline:
                attempt.is_late = True
                attempt.cut()

    def abort(self) -> None:
        """End every try."""
        for attempt in self._on_their_way():
            attempt.was_cut = True
            attempt.cut()

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pools.clear()

    def _on_their_way(self) -> list[_Try]:
        with self._lock:
            return list(self._tries)


def _read_to_the_end(answer: urllib3.BaseHTTPResponse) -> None:
    """So that the connection can be used again. The status is known: what happens from here on changes nothing."""
    try:
        answer.read(MOST_READ)
        if answer.read(1):
            answer.close()
        else:
            answer.release_conn()
    except (urllib3.exceptions.HTTPError, OSError):
        answer.close()


def _reason(error: BaseException) -> str:
    """Without the client's own words, which repeat the address."""
    known: BaseException | None = error
    while known is not None:
        if isinstance(known, ssl.SSLCertVerificationError):
            return f"its certificate is refused: {known.verify_message}"
        if isinstance(known, ssl.SSLError):
            return f"TLS failed: {known.reason or 'the other side ended it'}"
        if isinstance(known, socket.gaierror):
            return f"its host is not found: {known.strerror}"
        if isinstance(known, UnicodeError):
            return "its host is not found: that is no name of a host"
        if isinstance(known, OSError) and known.strerror:
            return f"no connection: {known.strerror.lower()}"
        known = known.__cause__ or known.__context__
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return "the connection ended before an answer"
    return f"it can't be sent ({type(error).__name__})"


def _retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds, or the time until a date."""
    if not text:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0.0)
