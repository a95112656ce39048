"""Requests over HTTP: what the server answers becomes bytes or one of our errors.

The HTTP library has its only home here and is imported when the first request is made, for it costs 80 ms.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from tork.errors import IdempotencyConflict, NotFound, SettingsError, StateConflict, TorkError
from torkctl.client.patience import Patience
from torkctl.errors import Denied, NoAnswer, Refused, Removed, Unreached, Unsupported
from torkctl.settings import Credentials

if TYPE_CHECKING:
    import ssl

    import httpx2

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
SILENCE_SECONDS = 45.0
"""A stream says something every 15 s; after three times that it is dead."""

_NO_KEY = "missing key in request header"
_KEY_PROBLEMS = (_NO_KEY, "invalid key in the request header")


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event of a stream. `id` is what resumes after it."""

    kind: str
    id: str
    data: str


class Transport:
    """One server, and the connections to it. Safe to share between threads."""

    def __init__(
        self,
        endpoint: str,
        credentials: Credentials,
        *,
        silence_seconds: float = SILENCE_SECONDS,
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        self.endpoint = endpoint
        self._credentials = credentials
        self._silence_seconds = silence_seconds
        self._answer_seconds = answer_seconds
        self._opening = threading.Lock()
        self._opened: httpx2.Client | None = None

    def close(self) -> None:
        """Give the connections back."""
        if self._opened:
            self._opened.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        patience: Patience,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The answer to a request that may be sent more than once. Raises `NoAnswer` when patience has run out."""
        while True:
            try:
                content = self._send_once(method, path, query, body, headers)
            except NoAnswer as error:
                patience.failed(error)
            except TorkError:
                patience.answered()
                raise
            else:
                patience.answered()
                return content

    @contextmanager
    def events(self, path: str, *, last_event_id: str = "") -> Iterator[Iterator[Event]]:
        """An open event stream. Raises `NoAnswer` when it can't be had or breaks, `Unsupported` when there is none."""
        import httpx2

        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        timeout = httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS, read=self._silence_seconds)
        try:
            with self._client().stream("GET", self.endpoint + path, headers=headers, timeout=timeout) as response:
                if response.status_code != httpx2.codes.OK:
                    response.read()
                    raise _error_for("GET", path, response)
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    raise Unsupported(f"{self.endpoint}{path} is not a stream of events")
                yield self._read(response)
        except httpx2.HTTPError as error:
            raise self._lost(error) from error

    def _read(self, response: httpx2.Response) -> Iterator[Event]:
        import httpx2

        for event in httpx2.EventSource(response, max_event_size=None):
            yield Event(kind=event.event, id=event.id, data=event.data)

    def _send_once(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> bytes:
        import httpx2

        try:
            response = self._client().request(
                method, self.endpoint + path, params=dict(query or {}), content=body, headers=dict(headers or {})
            )
        except httpx2.HTTPError as error:
            raise self._lost(error) from error
        if not response.is_success:
            raise _error_for(method, path, response)
        return response.content

    def _client(self) -> httpx2.Client:
        with self._opening:
            if self._opened is None:
                self._opened = self._new_client()
            return self._opened

    def _new_client(self) -> httpx2.Client:
        import httpx2

        parts = urlsplit(self.endpoint)
        return httpx2.Client(
            auth=self._basic_auth(),
            headers=self._headers(),
            timeout=httpx2.Timeout(self._answer_seconds, connect=min(self._answer_seconds, _CONNECT_SECONDS)),
            limits=httpx2.Limits(max_connections=None),
            # a proxy can't know what our own loopback is
            trust_env=parts.hostname not in {"localhost", "127.0.0.1", "::1"},
            # certificates are loaded only where they are looked at: it takes 50 ms, and redirects are not followed
            verify=_trusted() if parts.scheme == "https" else False,
        )

    def _headers(self) -> dict[str, str]:
        headers = {"User-Agent": "torkctl", "Accept": "application/json"}
        if self._credentials.key:
            headers["Authorization"] = f"Bearer {self._credentials.key}"
        return headers

    def _basic_auth(self) -> tuple[str, str] | None:
        if self._credentials.username and not self._credentials.key:
            return (self._credentials.username, self._credentials.password)
        return None

    def _lost(self, error: Exception) -> NoAnswer:
        import httpx2

        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return NoAnswer(
                f"the certificate of {self.endpoint} is not trusted: {_what_of_certificate(error)} (right would be"
                " SSL_CERT_FILE=FILE with the certificate of its authority, and an endpoint with a name that it is for)"
            )
        if isinstance(error, httpx2.RemoteProtocolError) and self.endpoint.startswith("http:"):
            hint = " (if it speaks TLS, its endpoint begins with https://)"
            return NoAnswer(f"the connection to {self.endpoint} was lost: {_reason(error)}{hint}")
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            return Unreached(f"{self.endpoint} can't be reached ({_reason(error)})")
        if isinstance(error, httpx2.TimeoutException):
            return NoAnswer(f"{self.endpoint} did not answer in time")
        return NoAnswer(f"the connection to {self.endpoint} was lost ({_reason(error)})")


def _trusted() -> ssl.SSLContext | bool:
    """Whose certificates count: those of SSL_CERT_FILE and SSL_CERT_DIR, on our own loopback too, else the usual ones."""
    import ssl

    file, directory = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and not directory:
        return True
    try:
        return ssl.create_default_context(cafile=file or None, capath=directory or None)
    except OSError as error:
        raise SettingsError(f"SSL_CERT_FILE or SSL_CERT_DIR can't be used: {error.strerror or error}") from error


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _what_of_certificate(error: Exception) -> str:
    return _reason(error).partition("verify failed: ")[2].partition(" (_ssl")[0] or _reason(error)


def _error_for(method: str, path: str, response: httpx2.Response) -> TorkError:
    """The error an answer stands for. One place knows what each status means."""
    status = response.status_code
    told = _message_in(response)
    message = told or response.reason_phrase or f"status {status}"
    if status == 404 and not told:
        return NoAnswer(f"the server answered 404, but not as Tork does: is {response.url} the right address?")
    if message == _NO_KEY or (status == 401 and "authorization" not in response.request.headers):
        return Denied(
            f"the server asks who you are: {message} (right would be TORK_CLIENT_USERNAME and TORK_CLIENT_PASSWORD,"
            " TORK_CLIENT_KEY, or a context with one of them)"
        )
    if status in {401, 403} or message in _KEY_PROBLEMS:
        return Denied(f"the server refused the credentials: {message}")
    if status == 404 or (status == 405 and method == "GET"):
        return NotFound(message)
    if status in {405, 501}:
        return Unsupported(f"the server does not support {method} {path}")
    if status in {400, 409} and method == "PUT":
        return StateConflict(message)
    if status == 422:
        return IdempotencyConflict(message)
    if status == 410:
        return Removed(message)
    if status == 413:
        return Refused(f"the server takes no documents this large: {message}")
    if status == 408 or status == 429 or status >= 500 or status < 400:
        return NoAnswer(
            f"the server answered {status}: {message}", retry_after=_retry_after(response), body=response.content
        )
    return Refused(message)


def _message_in(response: httpx2.Response) -> str:
    try:
        document = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        document = None
    return str(document.get("message", "")) if isinstance(document, dict) else ""


def _retry_after(response: httpx2.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None
