"""What one invocation knows: the global flags, the settings they lead to, and the way to the server."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from torkctl import diagnostics
from torkctl.settings import Credentials, Flags, Settings, load

if TYPE_CHECKING:
    import typer

    from torkctl.client import Api, Patience


@dataclass
class Session:
    """One per process, made by `torkctl.cli` and handed to every command in the context."""

    flags: Flags = field(default_factory=Flags)
    stop: threading.Event = field(default_factory=threading.Event)
    """Set at the end, so that no thread goes on waiting."""

    @classmethod
    def of(cls, ctx: typer.Context) -> Session:
        """The session of a command's context."""
        session = ctx.ensure_object(cls)
        assert isinstance(session, Session)
        return session

    @cached_property
    def settings(self) -> Settings:
        """The settings in force. Raises `SettingsError`."""
        return load(self.flags, os.environ)

    @contextmanager
    def api(self, *, waiting: bool = False, endpoint: str | None = None, key: str = "") -> Iterator[Api]:
        """The server's API; a private one has an endpoint and a key of its own.

        `waiting` gives every call the patience of somebody who waits for a job.
        """
        from torkctl.client import Api, Transport

        settings = self.settings if endpoint is None else Settings(endpoint=endpoint, credentials=Credentials(key=key))
        window = settings.wait_retry_seconds if waiting else settings.request_retry_seconds
        diagnostics.detail(f"the server is {settings.endpoint}")
        transport = Transport(settings.endpoint, settings.credentials)
        try:
            yield Api(transport, self._patience(window))
        finally:
            self.stop.set()
            transport.close()

    def patient(self, api: Api) -> Api:
        """The same server, asked with the patience of somebody who waits for a job."""
        from torkctl.client import Api

        return Api(api.transport, self._patience(self.settings.wait_retry_seconds))

    def _patience(self, window_seconds: float) -> Callable[[], Patience]:
        from torkctl.client import Patience

        return lambda: Patience(window_seconds=window_seconds, stop=self.stop, tell=diagnostics.notice)
