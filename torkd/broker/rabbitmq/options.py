"""What the adapter can be told. Times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class RabbitMQOptions:
    """Where RabbitMQ is, and how it is used."""

    url: str = field(repr=False)
    management_url: str = field(default="", repr=False)
    """Of the management API; empty: it is not asked."""
    quorum: bool = False
    """Whether queues are replicated; they have no priorities then."""
    consumer_timeout: float = 1800.0
    """How long RabbitMQ may wait for an acknowledgement; RabbitMQ 3.12 and later are told so."""
    heartbeat: int = 10
    """After twice as long without a sign of life a connection counts as lost. The URL may say otherwise."""
    wait: float = 5.0
    """How long to wait for a connection or a confirmation before that is an error."""
    log_bytes: int = 4_000_000
    """How much of logs may wait to be stored; whoever prints faster waits. It is an argument of the queue, and with what is in
    hand of its reader it bounds how late a line is seen."""
