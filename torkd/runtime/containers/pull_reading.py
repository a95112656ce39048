"""Reads the news of a pull so that a run which must end need not wait for them.

Docker says nothing, not even that it has begun, while a registry does not answer, and a stream that has not begun can't be
cut off. So a thread of its own reads, and is left behind: it ends as soon as its engine says something.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue

from torkd.runtime.containers.engine import PullEvent, PullStream
from torkd.runtime.stopping import StopSignal


def read_pull(stream: PullStream, stop: StopSignal) -> Iterator[PullEvent]:
    """The events of a pull; ends when it is done, or `stop` is set. Raises what the stream raises. Closes the stream."""
    news: SimpleQueue[PullEvent | BaseException | None] = SimpleQueue()

    def read() -> None:
        try:
            for event in stream:
                news.put(event)
            news.put(None)
        except BaseException as error:  # noqa: BLE001 -- it is raised again by the thread that waits
            news.put(error)

    stop.on_set(lambda: news.put(None))
    threading.Thread(target=read, name="image-pull", daemon=True).start()
    try:
        while not stop.is_set() and (event := news.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event
    finally:
        stream.close()
