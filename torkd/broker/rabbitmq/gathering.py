"""A connection of pika's that sends together what is written together.

pika gives each frame to the system by itself, and a message is three frames: most of what a short message costs here and at
RabbitMQ is being sent and received.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pika.adapters.select_connection import SelectConnection

_PIECE_SIZE = 64 * 1024
"""pika copies what the system did not take of a piece, so pieces are no larger than what a socket takes."""


class GatheringConnection(SelectConnection):
    """What is written between `hold` and `release`, and the frames of a message in any case, leave in one piece."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._held: list[bytes] = []
        self._holds = 0
        super().__init__(*arguments, **options)

    def hold(self) -> None:
        """Send nothing yet."""
        self._holds += 1

    def release(self) -> None:
        """Send what was held, when nobody else holds it."""
        self._holds -= 1
        if self._holds or not self._held:
            return
        held, self._held = self._held, []
        for piece in _pieces(held):
            if self._transport is not None:  # type: ignore[attr-defined] # the stubs leave it out
                self._emit(piece)

    def _adapter_emit_data(self, data: bytes) -> None:
        if self._holds:
            self._held.append(data)
        else:
            self._emit(data)

    def _output_marshaled_frames(self, marshaled_frames: Sequence[bytes]) -> None:
        self.hold()
        try:
            super()._output_marshaled_frames(marshaled_frames)  # type: ignore[misc] # the stubs leave it out
        finally:
            self.release()

    def _emit(self, data: bytes) -> None:
        super()._adapter_emit_data(data)  # type: ignore[misc] # the stubs leave it out


def _pieces(frames: Sequence[bytes]) -> Iterator[bytes]:
    start = size = 0
    for index, frame in enumerate(frames):
        if size and size + len(frame) > _PIECE_SIZE:
            yield b"".join(frames[start:index])
            start, size = index, 0
        size += len(frame)
    yield b"".join(frames[start:])
