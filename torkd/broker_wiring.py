"""Picks the broker, for coordinators and workers alike."""

from __future__ import annotations

from tork.errors import StartError
from torkd.broker.memory import MemoryBroker
from torkd.broker.protocol import Broker
from torkd.extensions import Extensions
from torkd.sealing import KeyRing, SealedBodies
from torkd.settings import Settings

IN_MEMORY, RABBITMQ = "inmemory", "rabbitmq"


def check_broker(settings: Settings, extensions: Extensions) -> None:
    """Raises `StartError` for a broker that is not there, or for a secrecy of its messages that this version can't offer."""
    if settings.datastore.encryption_key:
        raise StartError(
            "datastore.encryption.key is not supported by this version: remove it, nothing would be encrypted"
        )
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


def make_key_ring(settings: Settings) -> KeyRing:
    """The keys that the settings name."""
    return KeyRing(settings.datastore.encryption_key, settings.datastore.encryption_older_keys)
