"""Reads the URL of a RabbitMQ server, with the query parameters that RabbitMQ's own clients know.

The URL holds a password: nothing made here shows it.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import pika
from pika.credentials import ExternalCredentials, PlainCredentials

from tork.errors import StartError

CONNECT_SECONDS = 5.0
_NUMBERS = ("heartbeat", "channel_max", "connection_timeout")
_TLS = ("cacertfile", "certfile", "keyfile", "password", "verify", "server_name_indication")
_KNOWN = (*_NUMBERS, *_TLS, "auth_mechanism")


@dataclass(frozen=True, slots=True)
class Address:
    """Where RabbitMQ is and who we are there."""

    host: str
    port: int
    virtual_host: str
    username: str
    password: str = field(repr=False)
    is_tls: bool
    query: dict[str, str] = field(repr=False)

    def __str__(self) -> str:
        """Host, port and virtual host: for logs and errors."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        virtual_host = "" if self.virtual_host == "/" else f", virtual host '{self.virtual_host}'"
        return f"{host}:{self.port}{virtual_host}"

    def parameters(self, name: str, heartbeat: int) -> pika.ConnectionParameters:
        """What pika has to know for a connection of this name. Raises `StartError` for files that can't be used."""
        seconds = float(self.query.get("connection_timeout", CONNECT_SECONDS * 1000)) / 1000
        return pika.ConnectionParameters(
            host=self.host,
            port=self.port,
            virtual_host=self.virtual_host,
            credentials=self._credentials(),
            heartbeat=int(self.query.get("heartbeat", heartbeat)),
            channel_max=int(self.query.get("channel_max", 2047)),
            ssl_options=self._ssl_options() if self.is_tls else None,
            socket_timeout=seconds,
            stack_timeout=2 * seconds,
            blocked_connection_timeout=None,
            client_properties={"connection_name": name, "product": "torkd"},
        )

    def _credentials(self) -> PlainCredentials | ExternalCredentials:
        if self.query.get("auth_mechanism", "plain").lower() == "external":
            return ExternalCredentials()
        return PlainCredentials(self.username, self.password)

    def _ssl_options(self) -> pika.SSLOptions:
        query = self.query
        try:
            context = ssl.create_default_context(cafile=query.get("cacertfile"))
            if query.get("verify") == "verify_none":
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if "certfile" in query:
                context.load_cert_chain(query["certfile"], query.get("keyfile"), query.get("password"))
        except OSError as error:  # that of ssl is one, too
            files = ", ".join(query[key] for key in ("cacertfile", "certfile", "keyfile") if key in query)
            raise StartError(f"broker.rabbitmq.url: {files} can't be used: {error.strerror or error}") from None
        return pika.SSLOptions(context, query.get("server_name_indication", self.host))


def read_address(url: str) -> Address:
    """The parts of the URL. Raises `StartError` for what is wrong in it."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(query) - set(_KNOWN)):
        raise StartError(f"broker.rabbitmq.url: unknown parameter '{unknown[0]}' (right would be {', '.join(_KNOWN)})")
    for key in _NUMBERS:
        if not query.get(key, "0").isdecimal():
            raise StartError(f"broker.rabbitmq.url: {key} has to be a number")
    if query.get("verify", "verify_peer") not in {"verify_peer", "verify_none"}:
        raise StartError("broker.rabbitmq.url: verify has to be verify_peer or verify_none")
    is_tls = parts.scheme == "amqps"
    return Address(
        host=parts.hostname or "localhost",
        port=parts.port or (5671 if is_tls else 5672),
        virtual_host=_virtual_host(parts),
        username=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        is_tls=is_tls,
        query=query,
    )


def _virtual_host(parts: SplitResult) -> str:
    return unquote(parts.path[1:]) or "/"
