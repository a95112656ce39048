"""Picks the broker, for coordinators and workers alike."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from tork.errors import StartError
from torkd.broker.memory import MemoryBroker
from torkd.broker.protocol import Broker
from torkd.extensions import Extensions
from torkd.sealing import KeyRing, SealedBodies
from torkd.settings import Settings

if TYPE_CHECKING:
    from torkd.broker.rabbitmq import RabbitMQBroker

IN_MEMORY, RABBITMQ = "inmemory", "rabbitmq"


def check_broker(settings: Settings, extensions: Extensions) -> None:
    """Raises `StartError` for a broker that is not there, or one that would not keep what the encryption key is to keep."""
    if settings.datastore.encryption_key:
        _check_sealing("broker.type", settings.broker.type, extensions.brokers)
        _check_sealing("datastore.type", settings.datastore.type, extensions.datastores)
    if settings.broker.type not in {IN_MEMORY, RABBITMQ, *extensions.brokers}:
        raise StartError(
            f"broker.type '{settings.broker.type}' is not known: use inmemory or rabbitmq, or install its plugin"
        )


def check_shared_broker(settings: Settings, extensions: Extensions, mode: str) -> None:
    """Raises `StartError` unless other processes can reach the broker, as those of a cluster must."""
    if settings.broker.type == IN_MEMORY:
        raise StartError(
            f"'torkd run {mode}' needs a broker that other processes can reach, and broker.type is inmemory: set it to "
            "rabbitmq (or use 'torkd run standalone')"
        )
    check_broker(settings, extensions)


def make_broker(settings: Settings, extensions: Extensions) -> Broker:
    """The broker the settings name."""
    make = extensions.brokers.get(settings.broker.type)
    if make is not None:
        return make(settings.custom.get(f"broker.{settings.broker.type}", {}))
    if settings.broker.type != RABBITMQ:
        return MemoryBroker()
    return _rabbitmq(settings)


def resealing_broker(settings: Settings) -> RabbitMQBroker | None:
    """The broker, if messages rest there that are sealed."""
    return _rabbitmq(settings) if settings.broker.type == RABBITMQ else None


def _rabbitmq(settings: Settings) -> RabbitMQBroker:
    # Imported here: who has no RabbitMQ does not pay for pika.
    from torkd.broker.rabbitmq import RabbitMQBroker, RabbitMQOptions

    rabbitmq = settings.broker.rabbitmq
    return RabbitMQBroker(
        RabbitMQOptions(
            url=rabbitmq.url,
            management_url=rabbitmq.management_url,
            quorum=rabbitmq.queue_type == "quorum",
            consumer_timeout=rabbitmq.consumer_timeout.total_seconds(),
        ),
        seal=SealedBodies(make_key_ring(settings)),
    )


def _check_sealing(key: str, name: str, registered: Collection[str]) -> None:
    if name in registered:
        raise StartError(
            f"datastore.encryption.key can't be kept with {key} = '{name}': a plugin seals nothing (right would be to "
            "leave one of them out)"
        )


def make_key_ring(settings: Settings) -> KeyRing:
    """The keys that the settings name."""
    return KeyRing(settings.datastore.encryption_key, settings.datastore.encryption_older_keys)
