"""Declares queues on a channel of its own, since a refused declaration costs its channel; remembers which ones exist.

What it remembers is dropped with the connection, and by whoever finds that a queue is gone. In the connection's thread only.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection
from typing import Any

from pika.channel import Channel

from torkd.broker.rabbitmq.channel import MISMATCH, KeptChannel
from torkd.broker.rabbitmq.connection import KeptConnection
from torkd.broker.rabbitmq.options import RabbitMQOptions
from torkd.broker.rabbitmq.topology import mismatch_sentence, queue_arguments

_LOG = logging.getLogger(__name__)

Declared = Callable[[str | None], None]
"""Is told an empty text when the queue exists, a sentence when it can't be used, None when the connection was lost."""


class Problems:
    """The queues that can't be used, by name: of all connections of the process."""

    def __init__(self) -> None:
        self._sentences: dict[str, str] = {}

    def add(self, queue: str, sentence: str) -> None:
        """Note it, and say it once."""
        if self._sentences.get(queue) != sentence:
            _LOG.error("%s", sentence)
        self._sentences[queue] = sentence

    def clear(self, queue: str) -> None:
        """It can be used."""
        self._sentences.pop(queue, None)

    def first(self) -> str:
        """One of the sentences, or nothing."""
        return next(iter(list(self._sentences.values())), "")


class Declarer:
    """Of one connection."""

    def __init__(
        self,
        connection: KeptConnection,
        options: RabbitMQOptions,
        virtual_host: str,
        problems: Problems,
        *,
        always: Collection[str] = (),
    ) -> None:
        """The queues that are `always` wanted are made with each connection: RabbitMQ may have lost all it had."""
        self._options, self._virtual_host, self._problems = options, virtual_host, problems
        self._always = always
        self._known: set[str] = set()
        self._asked: deque[tuple[str, Declared]] = deque()
        self._is_asking = False
        self._channel = KeptChannel(connection, on_open=self._opened, on_lost=self._lost)

    def start(self) -> None:
        """Begin."""
        self._channel.start()

    def knows(self, queue: str) -> bool:
        """Whether it exists, as far as is known."""
        return queue in self._known

    def forget(self, queue: str) -> None:
        """It is gone."""
        self._known.discard(queue)

    def ensure(self, queue: str, done: Declared) -> None:
        """Make it, unless it exists, and tell."""
        if queue in self._known:
            done("")
            return
        self._asked.append((queue, done))
        self._ask()

    def _ask(self) -> None:
        channel = self._channel.raw
        if self._is_asking or not self._asked or channel is None:
            return
        queue = self._asked[0][0]
        if queue in self._known:
            self._answer("")
            return
        self._is_asking = True
        channel.queue_declare(
            queue, durable=True, arguments=queue_arguments(queue, self._options), callback=self._declared
        )

    def _opened(self, _channel: Channel) -> None:
        for queue in self._always:
            self.ensure(queue, lambda _: None)
        self._ask()

    def _declared(self, _frame: Any) -> None:
        queue = self._asked[0][0]
        self._channel.settled()
        self._known.add(queue)
        self._problems.clear(queue)
        self._answer("")

    def _lost(self, code: int, text: str) -> None:
        if not code:
            self._known.clear()
            self._is_asking = False
            asked, self._asked = self._asked, deque()
            for _, done in asked:
                done(None)
            return
        if not self._is_asking:
            return
        queue = self._asked[0][0]
        sentence = (
            mismatch_sentence(queue, self._virtual_host, text)
            if code == MISMATCH
            else f"the queue '{queue}' can't be made: {text}"
        )
        self._problems.add(queue, sentence)
        self._answer(sentence)

    def _answer(self, problem: str) -> None:
        self._is_asking = False
        _, done = self._asked.popleft()
        try:
            done(problem)
        finally:
            self._ask()
