from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from pika.credentials import ExternalCredentials, PlainCredentials

from tork.errors import StartError
from torkd.broker.rabbitmq.address import read_address


@pytest.mark.parametrize(
    ("url", "place", "virtual_host", "user", "password"),
    [
        ("amqp://rabbit", "rabbit:5672", "/", "guest", "guest"),
        ("amqp://rabbit/", "rabbit:5672", "/", "guest", "guest"),
        ("amqp://rabbit/%2F", "rabbit:5672", "/", "guest", "guest"),
        ("amqp://u:p%40ss@rabbit:5673/tork", "rabbit:5673, virtual host 'tork'", "tork", "u", "p@ss"),
        ("amqp://u:p@rabbit/a%2Fb", "rabbit:5672, virtual host 'a/b'", "a/b", "u", "p"),
        ("amqps://u:p@rabbit", "rabbit:5671", "/", "u", "p"),
        ("amqp://u:p@[::1]:5672/", "[::1]:5672", "/", "u", "p"),
    ],
)
def test_a_url_is_read_as_rabbitmq_reads_it(url: str, place: str, virtual_host: str, user: str, password: str) -> None:
    address = read_address(url)
    assert str(address) == place
    parameters = address.parameters("test", 10)
    assert parameters.virtual_host == virtual_host
    assert isinstance(parameters.credentials, PlainCredentials)
    assert (parameters.credentials.username, parameters.credentials.password) == (user, password)
    assert parameters.heartbeat == 10


def test_the_parameters_of_the_url_win() -> None:
    parameters = read_address("amqp://h/?heartbeat=3&channel_max=9&connection_timeout=700").parameters("test", 10)
    assert (parameters.heartbeat, parameters.channel_max, parameters.socket_timeout) == (3, 9, 0.7)


def test_tls_checks_the_server_unless_told_otherwise() -> None:
    strict = read_address("amqps://h/").parameters("test", 10).ssl_options
    assert strict is not None
    assert strict.context.verify_mode is ssl.CERT_REQUIRED
    assert strict.context.check_hostname
    assert strict.server_hostname == "h"
    lax = read_address("amqps://h/?verify=verify_none&server_name_indication=other").parameters("test", 10).ssl_options
    assert lax is not None
    assert lax.context.verify_mode is ssl.CERT_NONE
    assert lax.server_hostname == "other"


def test_a_certificate_may_say_who_we_are() -> None:
    parameters = read_address("amqps://h/?auth_mechanism=external").parameters("test", 10)
    assert isinstance(parameters.credentials, ExternalCredentials)


def test_a_file_that_is_no_certificate_is_named_and_no_password_is(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("nonsense")
    address = read_address(f"amqps://u:s3cret@h/?certfile={bad}&password=s3cret2")
    with pytest.raises(StartError, match=r"bad\.pem can't be used") as caught:
        address.parameters("test", 10)
    assert "s3cret" not in f"{caught.value} {address!r}"
