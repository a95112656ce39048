"""The names of the queues, and which message goes to which."""

from __future__ import annotations

from typing import assert_never

from torkd.broker.messages import (
    CoordinatorMessage,
    Heartbeat,
    LogPrinted,
    RunClaimed,
    RunEnded,
    RunOutcome,
    RunProgressed,
)

STARTED = "started"
COMPLETED = "completed"
ERROR = "error"
PROGRESS = "progress"
LOGS = "logs"
HEARTBEAT = "heartbeat"
DEAD = "dead"
"""Messages that could not be handled, with the reason."""

TASK_EVENT_QUEUES = (STARTED, COMPLETED, ERROR, PROGRESS)
"""What the batch loop of a coordinator reads; heartbeats and logs have loops of their own."""


def queue_of(message: CoordinatorMessage) -> str:
    """The queue a message to the coordinators goes to."""
    match message:
        case RunClaimed():
            return STARTED
        case RunEnded():
            return COMPLETED if message.outcome is RunOutcome.COMPLETED else ERROR
        case RunProgressed():
            return PROGRESS
        case LogPrinted():
            return LOGS
        case Heartbeat():
            return HEARTBEAT
        case _:
            assert_never(message)


def node_queue(node_id: str) -> str:
    """The private queue of one node."""
    return f"x-{node_id}"
