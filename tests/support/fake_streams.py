"""The two long answers of a fake engine: they wait for news, end when closed, and break when the engine goes away."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

from tests.support.fake_calls import Call, Interruptible
from tests.support.fake_containers import FakeContainer, Remote, full_name
from torkd.runtime.containers.engine import EngineError, PullEvent, Standing


class FakeLogStream:
    """A container's log."""

    def __init__(self, engine: Interruptible, container: FakeContainer, follow: bool) -> None:
        self._engine, self._container, self._follow = engine, container, follow
        self._is_closed = False

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        for position in itertools.count():
            with self._engine.changed:
                self._engine.wait_for(partial(self._has_come, position))
                if self._is_closed or position >= len(self._container.log):
                    return
                piece = self._container.log[position]
            yield piece

    def close(self) -> None:
        """Read no more."""
        with self._engine.changed:
            self._is_closed = True
            self._engine.changed.notify_all()

    def _has_come(self, position: int) -> bool:
        is_over = not self._follow or self._container.standing is not Standing.RUNNING
        return self._is_closed or is_over or len(self._container.log) > position


class FakePullStream:
    """The news of a pull."""

    def __init__(self, engine: Interruptible, call: Call, remote: Remote | None, images: dict[str, str]) -> None:
        self._engine, self._call, self._remote, self._images = engine, call, remote, images
        self._image, self._credentials = call.arguments
        self._is_closed = False

    def __iter__(self) -> Iterator[PullEvent]:
        self._engine.meet(self._call, after=False)
        remote = self._remote
        if remote is None or remote.credentials not in {None, self._credentials}:
            raise EngineError(f"pull access denied for {self._image}, repository does not exist or needs a login")
        yield from remote.events
        with self._engine.changed:
            self._engine.wait_for(lambda: self._is_closed or not remote.held)
            if self._is_closed:
                return
            if remote.error:
                raise EngineError(remote.error)
            self._images[full_name(self._image)] = f"sha256:{remote.content or full_name(self._image)}"
        self._engine.meet(self._call, after=True)

    def close(self) -> None:
        """Give up."""
        with self._engine.changed:
            self._is_closed = True
            self._engine.changed.notify_all()
