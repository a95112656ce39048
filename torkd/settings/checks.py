"""What single values must look like beyond their kind. A check raises `ValueError` with what would be right."""

from __future__ import annotations

import re
from ipaddress import ip_network

from tork.durations import parse_nanoseconds
from tork.errors import DurationError, RuntimeFailure
from torkd.runtime.containers.quantities import memory_bytes, nano_cpus

_USER_ID = re.compile(r"-|\d{1,10}", re.ASCII)


def check_host_variable(text: str) -> None:
    """`NAME` or `NAME:ALIAS`: a variable of the worker and the name a task sees it under."""
    names = text.split(":")
    if len(names) > 2 or not all(names) or "=" in text:
        raise ValueError(f"invalid env var spec: {text[:100]} (right would be NAME or NAME:ALIAS)")


def check_user_id(text: str) -> None:
    """A numeric id, or `-` for no change."""
    if not _USER_ID.fullmatch(text):
        raise ValueError("not an id (right would be a number, or '-' for no change)")


def check_network(text: str) -> None:
    """An IP address, or a network of them."""
    try:
        ip_network(text.strip(), strict=False)
    except ValueError as error:
        raise ValueError("not an address or network (right would be such as '10.0.0.7' or '10.0.0.0/8')") from error


def check_cpus(text: str) -> None:
    """Processors as a task's `limits.cpus` takes them."""
    try:
        nano_cpus(text)
    except RuntimeFailure as failure:
        raise ValueError("not a number of processors (right would be such as '1', '.5' or '1/2')") from failure


def check_memory(text: str) -> None:
    """Memory as a task's `limits.memory` takes it."""
    try:
        memory_bytes(text)
    except RuntimeFailure as failure:
        raise ValueError("not an amount of memory (right would be such as '512m' or '1g')") from failure


def check_absolute_path(text: str) -> None:
    """A path from the root on."""
    if not text.startswith("/"):
        raise ValueError("not an absolute path (right would be such as '/srv/data')")


def check_timeout(text: str) -> None:
    """A duration above zero, as a task's `timeout` takes it."""
    try:
        positive = parse_nanoseconds(text) > 0
    except DurationError:
        positive = False
    if not positive:
        raise ValueError("not a time limit (right would be a duration such as '5m')")
