"""Suites for authors of adapters: one is held to a protocol by a class with a fixture that makes it. Needs the extra `testing`."""

from __future__ import annotations

import torkd.testing.assertions  # noqa: F401 -- for what it does to the imports below
from torkd.testing.broker_contract import BrokerContract
from torkd.testing.datastore_contract import DatastoreContract
from torkd.testing.dead_letter_contract import DeadLetterContract
from torkd.testing.event_queue_contract import EventQueueContract
from torkd.testing.mounter_contract import MounterContract
from torkd.testing.order_contract import OrderContract
from torkd.testing.runs import RecordedLog, RecordedRun
from torkd.testing.runtime_contract import RuntimeContract, ScriptWords
from torkd.testing.task_queue_contract import TaskQueueContract
from torkd.testing.waiting import wait_until

__all__ = [
    "BrokerContract",
    "DatastoreContract",
    "DeadLetterContract",
    "EventQueueContract",
    "MounterContract",
    "OrderContract",
    "RecordedLog",
    "RecordedRun",
    "RuntimeContract",
    "ScriptWords",
    "TaskQueueContract",
    "wait_until",
]
