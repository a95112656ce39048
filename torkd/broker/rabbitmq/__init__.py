"""The broker of many processes: messages go in and come out of RabbitMQ, whatever it does meanwhile."""

from torkd.broker.rabbitmq.broker import RabbitMQBroker
from torkd.broker.rabbitmq.options import RabbitMQOptions

__all__ = ["RabbitMQBroker", "RabbitMQOptions"]
