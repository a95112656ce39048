"""Settings of the broker, which carries messages between coordinators and workers."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from torkd.settings.addresses import url_check
from torkd.settings.kinds import Duration, Flag, Secret, Text
from torkd.settings.sections.section import Section


class RabbitMQ(Section, frozen=True, kw_only=True):
    """`[broker.rabbitmq]`"""

    url: Annotated[str, Text(means="the RabbitMQ server", secret=Secret.URL, check=url_check("amqp", "amqps"))] = (
        "amqp://guest:guest@localhost:5672/"
    )
    consumer_timeout: Annotated[
        timedelta,
        Duration(
            key="consumer.timeout",
            means="how long a message may stay unacknowledged (`x-consumer-timeout`)",
            least=timedelta(milliseconds=1),
        ),
    ] = timedelta(minutes=30)
    management_url: Annotated[
        str,
        Text(
            key="management.url",
            means="the management API, which lists the queues",
            secret=Secret.URL,
            check=url_check("http", "https"),
        ),
    ] = "http://localhost:15672"
    durable_queues: Annotated[
        bool, Flag(key="durable.queues", means="has no effect: queues are always durable, and `false` is ignored")
    ] = False
    queue_type: Annotated[
        str,
        Text(
            key="queue.type",
            means="classic, or quorum (replicated, without priorities)",
            choices=("classic", "quorum"),
            wrong="invalid queue type",
        ),
    ] = "classic"


class Broker(Section, frozen=True, kw_only=True):
    """`[broker]`"""

    type: Annotated[str, Text(means="inmemory, rabbitmq, or a registered name")] = "inmemory"
    rabbitmq: RabbitMQ = RabbitMQ()
