"""gunicorn's log, sent the way of all our logging, without the lines that only say that it does its job."""

from __future__ import annotations

from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger

from torkd.logs import adopt_loggers

_EXPECTED = ("Shutting down", "Reason: ")


class ServerLog(Logger):
    """Only what is wrong. The start and the end of the daemon are told by those who know what they mean."""

    def setup(self, cfg: Config) -> None:
        self.cfg = cfg
        adopt_loggers("gunicorn.error", "gunicorn.access")

    @property
    def access_log_enabled(self) -> bool:
        """Requests are logged by the API itself."""
        return False

    def debug(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Its configuration and its signals are no news, and `debug` is the default level."""

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        """That it starts, listens and stops is told by those who know what it means."""

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        if not str(msg).startswith(_EXPECTED) and Arbiter.WORKER_BOOT_ERROR not in args:
            self.error_log.error(msg, *args, **kwargs)
