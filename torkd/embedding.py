"""`torkd.Engine`: torkd as a library, for programs that bring their own parts, or that run jobs within themselves.

Everything is registered first; then either `run` is what `torkd run` is, or `start` has coordinator, worker and database run beside
the program until `close`. All methods may be called from any thread, and raise errors of `tork.errors` only.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from tork.errors import StartError, TorkError
from tork.job import Job, JobDefinition, JobSummary
from torkd.accounts.caller import ANYBODY
from torkd.api.admission import admit, definition_of, viewers_of
from torkd.broker_wiring import check_broker
from torkd.database import database
from torkd.datastore.account_protocol import Submitter
from torkd.extensions import Extensions
from torkd.job_waiting import JobWaiting
from torkd.middleware import Chain, JobMiddleware
from torkd.private_server import PrivateServer
from torkd.settings import Loaded, load_settings, split_address
from torkd.wiring import Engine as Parts
from torkd.wiring import make_engine

log = logging.getLogger(__name__)

Callback = TypeVar("Callback", bound=Callable[[JobSummary], object])


class Engine(Extensions):
    """An engine of this program's own: register, then `run`, or `start` and `close` (or a `with` block)."""

    __slots__ = (
        "_address",
        "_config",
        "_environ",
        "_given",
        "_lock",
        "_open",
        "_parts",
        "_plugins",
        "_state",
        "_submitted",
        "_waiting",
        "endpoint",
    )

    def __init__(
        self,
        settings: Mapping[str, Any] | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
        config: Path | str | None = None,
        plugins: bool = True,
        address: str | None = None,
    ) -> None:
        """`settings` by key win over `TORK_` variables of `environ`, and those over the configuration file: `config`, or the one that a
        daemon would find. `plugins`: installed ones register too. `address`, as `host:port`, is where `start` serves the API.
        """
        super().__init__()
        self._given = dict(settings or {})
        self._environ = environ
        self._config = config
        self._plugins = plugins
        self._address = address
        self._lock = threading.Lock()
        """Guards the state: one of new, started, closed."""
        self._state = "new"
        self._open = ExitStack()
        self._parts: Parts | None = None
        self._waiting: JobWaiting | None = None
        self._submitted = Chain()
        self.endpoint: str | None = None
        """The URL of the API once it is served."""

    def read_settings(self) -> Loaded:
        environ = {**self._environ, **({"TORK_CONFIG": str(self._config)} if self._config is not None else {})}
        return load_settings(
            environ,
            cwd=Path.cwd(),
            home=Path.home(),
            known_brokers=tuple(self.brokers),
            known_datastores=tuple(self.datastores),
            known_runtimes=tuple(self.runtimes),
            given=self._given,
        )

    def on_job_change(self, callback: Callback) -> Callback:
        """Call this with each job whose state has changed, as middleware is (`JobMiddleware.changed`). To be said before the start."""
        self.register_job_middleware(_Calls(callback))
        return callback

    def run(self, mode: str = "standalone") -> int:
        """What `torkd run MODE` does, until a signal ends it; the exit code. In the main thread only.

        Raises `StartError` and `SettingsError`, with nothing started.
        """
        if threading.current_thread() is not threading.main_thread():
            raise StartError("run() needs the main thread, which gets the signals: call start() in another")
        if mode not in {"standalone", "coordinator", "worker"}:
            raise StartError(f"there is no mode '{mode}' (right would be standalone, coordinator or worker)")
        from torkd.__main__ import serve

        with self._lock:
            self._begin()
            loaded = self._prepare()
        try:
            return serve(mode, loaded, self)
        finally:
            self._state = "closed"

    def start(self) -> Engine:
        """Run standalone within this process: returns when jobs are taken. Raises `StartError`, `SettingsError` and `Unavailable`."""
        with self._lock:
            self._begin()
            try:
                self._start(self._prepare())
            except TorkError:
                raise
            except Exception as error:  # of something registered: told as the daemon does
                raise StartError(f"can't start: {type(error).__name__}: {error}") from error
            finally:
                if self._parts is None:
                    self._state = "closed"
        return self

    def close(self) -> None:
        """Let running tasks end for as long as `worker.drain` says, hand back the others, and stop everything. Once is enough."""
        with self._lock:
            if self._state != "started":
                return
            self._state = "closed"
            assert self._parts is not None
            assert self._waiting is not None
            # Whatever cuts this short, a second Ctrl-C too, what was started is closed.
            with self._open:
                self._waiting.close()
                self._parts.drain()

    def __enter__(self) -> Engine:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, job: JobDefinition | Mapping[str, Any] | str) -> JobSummary:
        """Accept a job: a value, a document, or the text of a job file. Raises `DefinitionError`, and `Refused` by middleware."""
        parts = self._running()
        definition = admit(definition_of(job), ANYBODY, self._submitted)
        submitter = Submitter(user_id=ANYBODY.user_id, viewers=viewers_of(parts.datastore, definition))
        accepted = parts.coordinator.submit(definition, key=None, submitter=submitter)
        return parts.datastore.get_summary(accepted.job_id)

    def wait(self, job_id: str, timeout: float | None = None) -> Job:
        """The job when it has ended, however it did. Raises `TimedOut` after so many seconds, `NotFound`, and `Unavailable` when the
        engine is closed meanwhile.
        """
        self._running()
        assert self._waiting is not None
        return self._waiting.wait(job_id, timeout)

    def job(self, job_id: str) -> Job:
        """The job as it is now. Raises `NotFound`."""
        return self._running().datastore.get_job(job_id)

    def cancel(self, job_id: str) -> None:
        """End a job. Raises `NotFound` or `StateConflict`."""
        self._running().coordinator.cancel(job_id)

    def restart(self, job_id: str) -> None:
        """Run an ended job again from its current task. Raises `NotFound` or `StateConflict`."""
        self._running().coordinator.restart(job_id)

    def _begin(self) -> None:
        if self._state != "new":
            raise StartError("this engine was started before: make another")
        self._state = "started"

    def _prepare(self) -> Loaded:
        if self._plugins:
            self.load_plugins()
        self.seal()
        loaded = self.read_settings()
        for warning in loaded.warnings:
            log.warning("%s", warning)
        return loaded

    def _start(self, loaded: Loaded) -> None:
        settings = loaded.settings
        check_broker(settings, self)
        if self._address is not None and (settings.coordinator.tls.cert or settings.coordinator.tls.key):
            raise StartError(
                f"the API can't be served at {self._address}: that is plain HTTP, and coordinator.tls is set"
                " (right would be run(), which serves HTTPS, or no coordinator.tls)"
            )
        self._submitted = self.submitted()
        with ExitStack() as opened:
            dsn = opened.enter_context(database(loaded, standalone=True))
            parts = make_engine(
                settings,
                dsn=dsn,
                runtime_type=loaded.runtime_type(standalone=True),
                port=0,
                extensions=self,
                environ=self._environ,
            )
            opened.callback(parts.close)
            parts.start()
            if self._address is not None:
                opened.callback(self._serve(parts, self._address).close)
                opened.callback(parts.end_streams)
            self._waiting = JobWaiting(parts.datastore, parts.broker)
            self._parts = parts
            self._open = opened.pop_all()

    def _serve(self, parts: Parts, address: str) -> PrivateServer:
        try:
            server = PrivateServer(parts.app, split_address(address))
        except (OSError, ValueError) as error:
            raise StartError(f"the API can't be served at {address}: {error}") from error
        self.endpoint = server.endpoint
        return server

    def _running(self) -> Parts:
        parts = self._parts
        if self._state != "started" or parts is None:
            raise StartError("the engine does not run: call start() first, and close() last")
        return parts


class _Calls(JobMiddleware):
    def __init__(self, callback: Callable[[JobSummary], object]) -> None:
        self._callback = callback

    def changed(self, job: JobSummary) -> None:
        self._callback(job)
