"""A channel that is opened again whenever it or its connection was lost. All of it happens in the connection's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pika import exceptions
from pika.channel import Channel

from torkd.broker.rabbitmq.connection import KeptConnection

FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 5.0

NOT_FOUND, LOCKED, MISMATCH = 404, 405, 406


class KeptChannel:
    """One channel at a time, from `start` to `stop`."""

    def __init__(
        self,
        connection: KeptConnection,
        *,
        on_open: Callable[[Channel], None],
        on_lost: Callable[[int, str], None],
        on_unblocked: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_lost` is told why RabbitMQ closed the channel: code and text; 0 when the whole connection went."""
        self.raw: Channel | None = None
        """The channel while it is open."""
        self._connection = connection
        self._on_open = on_open
        self._on_lost = on_lost
        self.unblocked = on_unblocked
        self._opening: Channel | None = None
        """The channel that is being opened."""
        self._failures = 0
        self._stopped = False

    def start(self) -> None:
        """Open it now, or as soon as the connection is up."""
        self._connection.attach(self)

    def stop(self) -> None:
        """Close it. What was delivered and not acknowledged goes back."""
        self._stopped = True
        self._connection.detach(self)
        channel, self.raw, self._opening = self.raw or self._opening, None, None
        if channel is not None and not (channel.is_closed or channel.is_closing):
            channel.close()

    def settled(self) -> None:
        """All that was to be set up works: the next loss is not part of a series."""
        self._failures = 0

    def connected(self) -> None:
        """Open it."""
        if self._stopped or self._opening is not None or self.raw is not None or not self._connection.is_up:
            return
        channel = self._connection.raw.channel(on_open_callback=self._opened)
        self._opening = channel
        channel.add_on_close_callback(self._closed)

    def lost(self) -> None:
        """It is gone with its connection."""
        self.raw = self._opening = None
        self._on_lost(0, "")

    def _opened(self, channel: Channel) -> None:
        if channel is self._opening:
            self._opening, self.raw = None, channel
            self._on_open(channel)

    def _closed(self, channel: Any, reason: BaseException) -> None:
        if channel is not self.raw and channel is not self._opening:
            return
        self.raw = self._opening = None
        is_ours = isinstance(reason, exceptions.ChannelClosed)
        code, text = (reason.reply_code, reason.reply_text) if isinstance(reason, exceptions.ChannelClosed) else (0, "")
        self._on_lost(code, text)
        if is_ours and not self._stopped:
            pause = min(FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 10), LONGEST_PAUSE_SECONDS)
            self._failures += 1
            self._connection.later(pause, self.connected)
