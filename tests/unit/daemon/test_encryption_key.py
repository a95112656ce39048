"""What an encryption key does not go with: components that would not seal."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tork.errors import StartError
from torkd.broker.memory import MemoryBroker
from torkd.broker_wiring import check_broker
from torkd.extensions import Extensions
from torkd.settings import Settings


def with_key(settings: Settings) -> Settings:
    return replace(settings, datastore=replace(settings.datastore, encryption_key="k"))


def test_a_plugin_that_would_carry_or_store_in_clear_is_refused() -> None:
    extensions = Extensions()
    extensions.register_broker("mine", lambda _: MemoryBroker())
    extensions.register_datastore("theirs", lambda _: pytest.fail("it is not made"))
    settings = Settings()
    of_broker = replace(settings, broker=replace(settings.broker, type="mine"))
    of_datastore = replace(settings, datastore=replace(settings.datastore, type="theirs"))
    check_broker(of_broker, extensions)
    with pytest.raises(StartError, match=r"can't be kept with broker\.type = 'mine': a plugin seals nothing"):
        check_broker(with_key(of_broker), extensions)
    check_broker(of_datastore, extensions)
    with pytest.raises(StartError, match=r"can't be kept with datastore\.type = 'theirs'"):
        check_broker(with_key(of_datastore), extensions)


@pytest.mark.parametrize("broker", ["inmemory", "rabbitmq"])
def test_what_is_built_in_goes_with_a_key(broker: str) -> None:
    settings = Settings()
    check_broker(with_key(replace(settings, broker=replace(settings.broker, type=broker))), Extensions())
