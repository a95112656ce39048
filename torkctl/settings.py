"""Where the server is and how to speak: flag, then environment, then context, then the daemon's `config.toml`.

Invariant: a context's credentials are used only when its endpoint is; a flag can't make them travel elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tork.durations import parse_seconds
from tork.errors import DurationError, SettingsError
from torkctl.contexts import Context, load_context, read_toml

DEFAULT_ENDPOINT = "http://localhost:8000"
ENDPOINT_VARIABLE = "TORK_CLIENT_ENDPOINT"
RETRY_VARIABLE = "TORK_CLIENT_RETRY_FOR"

_EVERYWHERE = {"", "0.0.0.0", "::", "[::]"}  # noqa: S104 - what a daemon may listen on; nothing listens here

REQUEST_RETRY_SECONDS = 5.0
"""How long a single request tries to reach the server, unless told otherwise."""

WAIT_RETRY_SECONDS = 60.0
"""How long a server may stay away while a job is waited for, unless told otherwise."""


class OutputFormat(StrEnum):
    """How data is written to stdout."""

    TABLE = "table"
    WIDE = "wide"
    NAME = "name"
    JSON = "json"
    JSONL = "jsonl"
    YAML = "yaml"


@dataclass(kw_only=True)
class Flags:
    """The global flags as they were given; None where they weren't."""

    endpoint: str | None = None
    context: str | None = None
    output: str | None = None
    retry_for: str | None = None
    no_color: bool = False
    quiet: bool = False
    verbose: bool = False


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Who asks. Never shown, not even when a Settings value is printed."""

    username: str = ""
    password: str = field(default="", repr=False)
    key: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a command needs to know to reach the server and to answer the user."""

    endpoint: str = DEFAULT_ENDPOINT
    credentials: Credentials = Credentials()
    output: OutputFormat = OutputFormat.TABLE
    request_retry_seconds: float = REQUEST_RETRY_SECONDS
    wait_retry_seconds: float = WAIT_RETRY_SECONDS


def load(flags: Flags, environ: Mapping[str, str]) -> Settings:
    """The settings in force. Raises `SettingsError` with the place and what would be right."""
    output = output_format(flags.output)
    retry = _retry_seconds(flags, environ)
    given = flags.endpoint or environ.get(ENDPOINT_VARIABLE) or environ.get("TORK_ENDPOINT")
    context = None
    if flags.context or not given:
        context = load_context(flags.context, environ)
    endpoint = given or (context.endpoint if context else "") or _configured_endpoint(environ) or DEFAULT_ENDPOINT
    own = context if context and endpoint == context.endpoint else None
    return Settings(
        endpoint=checked_endpoint(endpoint),
        credentials=_credentials(own, environ),
        output=output,
        request_retry_seconds=REQUEST_RETRY_SECONDS if retry is None else retry,
        wait_retry_seconds=WAIT_RETRY_SECONDS if retry is None else retry,
    )


def output_format(text: str | None) -> OutputFormat:
    """The format of that name; the table when none is given."""
    try:
        return OutputFormat(text or "table")
    except ValueError:
        raise SettingsError(f"'{text}' is not an output format (right would be {', '.join(OutputFormat)})") from None


def checked_endpoint(url: str) -> str:
    """The address without a trailing slash. Raises `SettingsError` when it can't be one."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in url):
        raise SettingsError(
            f"'{_without_password(url)}' is not a server's address (right would be e.g. {DEFAULT_ENDPOINT})"
        )
    if parts.username or parts.password:
        raise SettingsError(
            f"credentials don't belong into the endpoint (right would be {ENDPOINT_VARIABLE} without them and"
            " TORK_CLIENT_USERNAME, TORK_CLIENT_PASSWORD, or a context)"
        )
    return url.rstrip("/")


def _without_password(url: str) -> str:
    return url.rpartition("@")[2]


def _retry_seconds(flags: Flags, environ: Mapping[str, str]) -> float | None:
    text, source = flags.retry_for, "--retry-for"
    if text is None:
        text, source = environ.get(RETRY_VARIABLE) or None, RETRY_VARIABLE
    if text is None:
        return None
    try:
        seconds = parse_seconds(text)
    except DurationError as error:
        raise SettingsError(f"{source}: {error}") from error
    if seconds < 0:
        raise SettingsError(f"{source}: '{text}' is negative (right would be 0 or more, such as '60s')")
    return seconds


def _credentials(context: Context | None, environ: Mapping[str, str]) -> Credentials:
    key = environ.get("TORK_CLIENT_KEY", "")
    username = environ.get("TORK_CLIENT_USERNAME", "")
    password = environ.get("TORK_CLIENT_PASSWORD", "")
    if username and not password and not key:
        raise SettingsError("TORK_CLIENT_USERNAME is set without TORK_CLIENT_PASSWORD (right would be both)")
    if key or username:
        return Credentials(username=username, password=password, key=key)
    if context:
        return Credentials(username=context.username, password=context.password, key=context.key)
    return Credentials()


def _configured_endpoint(environ: Mapping[str, str]) -> str:
    for path in _config_files(environ):
        document = read_toml(path)
        if document is None:
            continue
        client = document.get("client")
        found = client.get("endpoint") if isinstance(client, dict) else None
        endpoint = found or document.get("endpoint") or _own_endpoint(document)
        if not isinstance(endpoint, str):
            raise SettingsError(f"{path}: client.endpoint must be text in quotes")
        return endpoint
    return ""


def _own_endpoint(document: Mapping[str, Any]) -> str:
    """Where a daemon with that configuration serves, seen from its own machine."""
    coordinator = document.get("coordinator")
    address = coordinator.get("address") if isinstance(coordinator, dict) else None
    if not isinstance(address, str) or not address:
        return ""
    host, _, port = address.rpartition(":")
    tls = coordinator.get("tls") if isinstance(coordinator, dict) else None
    scheme = "https" if isinstance(tls, dict) and tls.get("cert") else "http"
    return f"{scheme}://{'localhost' if host in _EVERYWHERE else host}:{port}"


def _config_files(environ: Mapping[str, str]) -> list[Path]:
    named = environ.get("TORK_CONFIG")
    if named:
        if not Path(named).exists():
            raise SettingsError(f"TORK_CONFIG names {named}, which does not exist")
        return [Path(named)]
    return [
        Path("config.local.toml"),
        Path("config.toml"),
        Path.home() / "tork" / "config.toml",
        Path("/etc/tork/config.toml"),
    ]
