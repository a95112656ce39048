"""A plain AMQP client for tests: to put what it likes into queues, and to make queues as somebody else would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel


@contextmanager
def amqp_channel(url: str) -> Iterator[BlockingChannel]:
    """A channel of its own, with confirmations."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel
    finally:
        if connection.is_open:
            connection.close()


def put(url: str, queue: str, *bodies: bytes) -> None:
    """Messages as they are, into a queue that exists."""
    with amqp_channel(url) as channel:
        for body in bodies:
            channel.basic_publish("", queue, body, mandatory=True)


def make_queue(url: str, queue: str, **arguments: Any) -> None:
    """A durable queue with these arguments; a hyphen is written as an underscore."""
    with amqp_channel(url) as channel:
        channel.queue_declare(
            queue, durable=True, arguments={key.replace("_", "-"): value for key, value in arguments.items()}
        )


def delete_queue(url: str, queue: str) -> None:
    """Delete it with all that is in it."""
    with amqp_channel(url) as channel:
        channel.queue_delete(queue)
