"""The queues as RabbitMQ knows them: their arguments, and the sentence for one that exists with others.

A queue's arguments never change once it exists, so every torkd has to ask for the same ones: only the type is a setting.
Queues are durable, except the private ones, which are exclusive: RabbitMQ 4 refuses what is neither.
"""

from __future__ import annotations

import re
from typing import Any

from tork.task import MAX_PRIORITY
from torkd.broker.queues import COMPLETED, DEAD, ERROR, HEARTBEAT, LOGS, PROGRESS, STARTED
from torkd.broker.rabbitmq.options import RabbitMQOptions

COORDINATOR_QUEUES = (STARTED, COMPLETED, ERROR, PROGRESS, LOGS, HEARTBEAT, DEAD)
"""Those that exist from the start."""
LIVE_EXCHANGE = "tork.live"
INTERNAL_PREFIX = "tork."
"""Queues and exchanges that are no business of users."""
EPOCH_PREFIX = f"{INTERNAL_PREFIX}epoch."
HEARTBEAT_SECONDS_TO_LIVE = 10.0
"""An older heartbeat says nothing any more."""
_ANY_NUMBER = 1_000_000_000
"""Of deliveries: RabbitMQ 4 would drop a message of a quorum queue that came back 20 times, and no version takes "never"."""
MAX_PRIORITY_ARGUMENT = MAX_PRIORITY + 1

PRIVATE_ARGUMENTS = {"x-queue-type": "classic"}
"""Of exclusive queues, also where another type is the default."""


def queue_arguments(name: str, options: RabbitMQOptions) -> dict[str, Any]:
    """What a durable queue is declared with."""
    arguments: dict[str, Any] = {"x-queue-type": "classic"}
    if options.quorum:
        arguments = {"x-queue-type": "quorum", "x-delivery-limit": _ANY_NUMBER}
    if name.startswith(EPOCH_PREFIX):
        return arguments
    if name == HEARTBEAT:
        arguments["x-message-ttl"] = int(HEARTBEAT_SECONDS_TO_LIVE * 1000)
    elif name == LOGS:
        # Two readers at once would store the parts of a run in the order of their speed.
        arguments |= {
            "x-max-length-bytes": options.log_bytes,
            "x-overflow": "reject-publish",
            "x-single-active-consumer": True,
        }
    elif name not in COORDINATOR_QUEUES and not options.quorum:
        arguments["x-max-priority"] = MAX_PRIORITY_ARGUMENT
    return arguments


_INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<argument>[^']+)' for queue '(?P<queue>.+?)' in vhost '.*?': received "
    r"(?P<asked>.*) but current is (?P<found>.*)"
)
_VALUE = re.compile(r"the value '(?P<value>.*)' of type '\w+'")


def mismatch_sentence(queue: str, virtual_host: str, text: str) -> str:
    """What to tell of a queue that exists with other arguments; `text` is what RabbitMQ says."""
    told = _INEQUIVALENT.search(text)
    difference = (
        f"{told['argument']} is {_value(told['found'])} and should be {_value(told['asked'])}" if told else text
    )
    where = "" if virtual_host == "/" else f" -p '{virtual_host}'"
    return (
        f"the queue '{queue}' exists with other arguments: {difference}; let it be emptied, delete it with "
        f"`rabbitmqctl{where} delete_queue '{queue}'`, and it is made anew"
    )


def _value(text: str) -> str:
    if text.startswith("none"):
        return "not set"
    value = _VALUE.match(text)
    return value["value"] if value else text.strip("'")
