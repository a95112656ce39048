"""How sizes and addresses are written."""

from __future__ import annotations

import pytest

from torkd.settings import format_size, parse_size, split_address
from torkd.settings.addresses import is_loopback


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("123", 123),
        ("500K", 500_000),
        ("500kb", 500_000),
        ("64M", 64_000_000),
        ("1Gi", 2**30),
        ("1.5GiB", 3 * 2**29),
        ("2 T", 2 * 10**12),
        ("1p", 10**15),
        ("10B", 10),
    ],
)
def test_size_in_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "K", "-1", "1.K", "1e3", "1X", "1KK", "10000P", "\u0661", "1_000", " 1"])
def test_text_that_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


@pytest.mark.parametrize(("size", "text"), [(0, "0"), (1234, "1234"), (500_000, "500K"), (2**20, "1Mi"), (10**9, "1G")])
def test_size_is_written_shortly(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost:8000", "localhost", 8000),
        (":8001", "", 8001),
        ("0.0.0.0:0", "0.0.0.0", 0),
        ("[::1]:65535", "::1", 65535),
    ],
)
def test_address_has_host_and_port(text: str, host: str, port: int) -> None:
    assert split_address(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "8000",
        "::1:80",
        "[::1]",
        "[::1:80",
        "[h]:80",
        "h:80:",
        "h:-1",
        "h:65536",
        "h:\u0661",
        "a b:1",
        "http://h:1",
    ],
)
def test_text_that_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="right would be host:port"):
        split_address(text)


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("localhost:1", True),
        ("127.0.0.2:1", True),
        ("[::1]:1", True),
        (":1", False),
        ("0.0.0.0:1", False),
        ("127.evil.example:1", False),
    ],
)
def test_loopback_is_reached_from_this_machine_only(text: str, local: bool) -> None:
    assert is_loopback(text) is local
