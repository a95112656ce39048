"""What to tell a registry: the task's own user and password, else what docker's `config.json` and its helpers know.

Nobody's credentials are an ordinary case: then the pull is anonymous. Passwords are in no error, log or `repr`.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from tork.errors import RuntimeFailure
from tork.task import Registry
from torkd.runtime.containers.credential_helper import HELPER_SECONDS, HelperFailure, ask_helper, is_installed
from torkd.runtime.containers.engine import Credentials
from torkd.runtime.containers.reference import HUB, HUB_HOSTS, ImageReference
from torkd.runtime.stopping import StopSignal

_log = logging.getLogger(__name__)

_PATHS_OF_HUB = frozenset({"", "v1", "v2"})
"""Others are no registries: Docker Desktop keeps tokens of the Hub's web site beside them."""


class _Entry(msgspec.Struct, rename={"identity_token": "identitytoken"}):
    """One of `auths`."""

    username: str | None = None
    password: str | None = None
    auth: str | None = None
    identity_token: str | None = None

    def __repr__(self) -> str:
        return "_Entry(…)"


class _Config(msgspec.Struct, rename="camel"):
    """The part of `config.json` that is about credentials."""

    auths: dict[str, _Entry | None] | None = None
    cred_helpers: dict[str, str] | None = None
    creds_store: str | None = None


def find_credentials(
    reference: ImageReference,
    registry: Registry | None,
    config_path: Path,
    *,
    environ: Mapping[str, str] = os.environ,
    stop: StopSignal | None = None,
    helper_seconds: float = HELPER_SECONDS,
) -> Credentials | None:
    """The credentials for pulling an image; None to pull anonymously.

    In this order: the task's `registry`, the helper that the config names for the host or for all, its `auths`, and without a
    named helper the one of the platform. Raises `RuntimeFailure`, and `stop.error()` when `stop` is set during the search.
    """
    if registry is not None and registry.username:
        return Credentials(username=registry.username, password=registry.password)
    config = _read_config(config_path)
    helper = _named_helper(config, reference)
    if helper:
        found = ask_helper(
            helper, reference.registry_key, environ=environ, stop=stop, time_limit_seconds=helper_seconds
        )
        if found is not None:
            return found
    for key, entry in _entries(config, reference):
        if (known := _read_entry(entry, key, config_path)) is not None:
            return known
    if helper is not None:
        return None
    return _ask_platform(reference.registry_key, environ, stop, helper_seconds)


def _read_config(path: Path) -> _Config:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return _Config()
    except OSError as error:
        raise RuntimeFailure(
            f"the registry credentials in {path} can't be read: {error.strerror} (right would be docker's config.json)"
        ) from error
    if not data.strip():
        return _Config()
    try:
        return msgspec.json.decode(data, type=_Config)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # The cause may hold the file's content.
        fault = str(error) if isinstance(error, msgspec.DecodeError) else "it is not JSON in UTF-8"
    raise RuntimeFailure(f"{path} can't be used: {fault} (right would be docker's config.json)")


def _named_helper(config: _Config, reference: ImageReference) -> str | None:
    """The helper that the config names; empty where it says that this host has none, None where it says nothing."""
    for_hosts = config.cred_helpers or {}
    for key in _matching_keys(for_hosts, reference):
        return for_hosts[key]
    return config.creds_store or None


def _entries(config: _Config, reference: ImageReference) -> Iterator[tuple[str, _Entry]]:
    auths = config.auths or {}
    for key in _matching_keys(auths, reference):
        if (entry := auths[key]) is not None:
            yield key, entry


def _matching_keys(table: Mapping[str, object], reference: ImageReference) -> list[str]:
    """The keys that mean the reference's registry: as they are looked up now first, then the forms of older versions."""
    exact = [key for key in (reference.registry_key, reference.host) if key in table]
    return [*dict.fromkeys(exact), *(key for key in table if key not in exact and _is_registry(key, reference))]


def _is_registry(key: str, reference: ImageReference) -> bool:
    address = key.removeprefix("https://").removeprefix("http://")
    host, _, path = address.partition("/")
    if reference.host == HUB:
        return host in HUB_HOSTS and path.strip("/") in _PATHS_OF_HUB
    return host == reference.host


def _read_entry(entry: _Entry, key: str, path: Path) -> Credentials | None:
    if entry.identity_token:
        return Credentials(identity_token=entry.identity_token)
    if entry.username and entry.password:
        return Credentials(username=entry.username, password=entry.password)
    if not entry.auth:
        return None
    try:
        decoded = base64.b64decode("".join(entry.auth.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        decoded = ""
    username, colon, password = decoded.partition(":")
    if not username or not colon:
        raise RuntimeFailure(f"auth of {key!r} in {path} can't be read (right would be base64 of user:password)")
    return Credentials(username=username, password=password.strip("\0"))


def _ask_platform(
    key: str, environ: Mapping[str, str], stop: StopSignal | None, time_limit_seconds: float
) -> Credentials | None:
    """Nobody asked for this helper, so its failure is no reason not to pull: on a server its key chain is often locked."""
    name = "pass" if is_installed("pass", environ) else "secretservice"
    try:
        return ask_helper(name, key, environ=environ, stop=stop, time_limit_seconds=time_limit_seconds)
    except HelperFailure as failure:
        _log.warning("pulling anonymously: %s", failure)
        return None
