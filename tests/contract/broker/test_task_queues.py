"""Our brokers keep the contract about tasks."""

from __future__ import annotations

from tests.contract.broker.conftest import OurBrokers
from torkd.testing import TaskQueueContract


class TestTaskQueues(OurBrokers, TaskQueueContract):
    """Each of them."""
