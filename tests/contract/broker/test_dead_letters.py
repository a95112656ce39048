"""Our brokers keep the contract about dead letters."""

from __future__ import annotations

from tests.contract.broker.conftest import OurBrokers
from torkd.testing import DeadLetterContract


class TestDeadLetters(OurBrokers, DeadLetterContract):
    """Each of them."""
