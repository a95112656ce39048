"""Our brokers keep the contract about orders."""

from __future__ import annotations

from tests.contract.broker.conftest import OurBrokers
from torkd.testing import OrderContract


class TestOrders(OurBrokers, OrderContract):
    """Each of them."""
