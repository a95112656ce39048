"""What a broker owes: all of it."""

from __future__ import annotations

from torkd.testing.dead_letter_contract import DeadLetterContract
from torkd.testing.event_queue_contract import EventQueueContract
from torkd.testing.order_contract import OrderContract
from torkd.testing.task_queue_contract import TaskQueueContract


class BrokerContract(TaskQueueContract, EventQueueContract, OrderContract, DeadLetterContract):
    """The suites about tasks, events, orders and dead letters."""
