"""Our brokers keep the contract about events."""

from __future__ import annotations

from tests.contract.broker.conftest import OurBrokers
from torkd.testing import EventQueueContract


class TestEventQueues(OurBrokers, EventQueueContract):
    """Each of them."""
