"""What an operator adds without touching torkd: components by name, endpoints, and middleware.

A package offers them through the entry-point group `torkd.plugins`: each entry point is a function that takes the
`Extensions` and registers what it has. Everything is registered before the engine starts; order is that of registration.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from tork.errors import StartError
from torkd.broker.protocol import Broker
from torkd.datastore.protocol import Datastore
from torkd.endpoints import METHODS, Endpoint, Handler, Wsgi
from torkd.middleware import (
    Chain,
    JobMiddleware,
    LogMiddleware,
    NodeMiddleware,
    RunHooks,
    Shown,
    TaskMiddleware,
    Told,
)
from torkd.runtime.containers.mounters import BUILT_IN_TYPES, Mounter
from torkd.runtime.protocol import Runtime
from torkd.settings import Loaded, load_settings
from torkd.settings.consistency import BUILT_IN_BROKERS, BUILT_IN_DATASTORES, BUILT_IN_RUNTIMES

GROUP = "torkd.plugins"
WEB_METHODS = ("process_request", "process_resource", "process_response")
"""Of which falcon middleware has one at least."""

Section = Mapping[str, Any]
"""The component's own section of the configuration file, as written."""

T = TypeVar("T")


@dataclass(slots=True)
class Extensions:
    """Components by the name that `runtime.type`, `broker.type`, `datastore.type` or a mount's `type` selects them by; the rest in
    the order of registration.
    """

    runtimes: dict[str, Callable[[Section], Runtime]] = field(default_factory=dict)
    brokers: dict[str, Callable[[Section], Broker]] = field(default_factory=dict)
    datastores: dict[str, Callable[[Section], Datastore]] = field(default_factory=dict)
    mounters: dict[tuple[str, str], Callable[[Section], Mounter]] = field(default_factory=dict)
    """By runtime and type of mount."""
    endpoints: list[Endpoint] = field(default_factory=list)
    web_middleware: list[Any] = field(default_factory=list)
    wsgi_middleware: list[Callable[[Wsgi], Wsgi]] = field(default_factory=list)
    job_middleware: list[JobMiddleware] = field(default_factory=list)
    task_middleware: list[TaskMiddleware] = field(default_factory=list)
    node_middleware: list[NodeMiddleware] = field(default_factory=list)
    log_middleware: list[LogMiddleware] = field(default_factory=list)
    _is_sealed: bool = False

    def register_runtime(self, name: str, make: Callable[[Section], Runtime]) -> None:
        """Make `runtime.type = name` mean this one. `make` gets the section `[runtime.<name>]`.

        Raises `StartError` for a name that is built in, or registered already.
        """
        self._check_open("register_runtime")
        _check_free("runtime", name, BUILT_IN_RUNTIMES, self.runtimes)
        self.runtimes[name] = make

    def register_broker(self, name: str, make: Callable[[Section], Broker]) -> None:
        """Make `broker.type = name` mean this one. `make` gets the section `[broker.<name>]`.

        Raises `StartError` for a name that is built in, or registered already.
        """
        self._check_open("register_broker")
        _check_free("broker", name, BUILT_IN_BROKERS, self.brokers)
        self.brokers[name] = make

    def register_datastore(self, name: str, make: Callable[[Section], Datastore]) -> None:
        """Make `datastore.type = name` mean this one. `make` gets the section `[datastore.<name>]`.

        Raises `StartError` for a name that is built in, or registered already.
        """
        self._check_open("register_datastore")
        _check_free("datastore", name, BUILT_IN_DATASTORES, self.datastores)
        self.datastores[name] = make

    def register_mounter(self, runtime: str, type_: str, make: Callable[[Section], Mounter]) -> None:
        """Give tasks of a runtime, `docker` or `podman`, mounts of this type. `make` gets the section `[mounter.<type>]`.

        Raises `StartError` for a type that is built in.
        """
        self._check_open("register_mounter")
        if type_ in BUILT_IN_TYPES:
            raise StartError(f"a mounter of type '{type_}' can't be registered: that type is built in")
        if (runtime, type_) in self.mounters:
            raise StartError(f"the mounter of type '{type_}' of {runtime} is registered twice")
        self.mounters[runtime, type_] = make

    def register_endpoint(
        self, method: str, path: str, handler: Handler, *, admin: bool = False, group: str | None = None
    ) -> None:
        """Let `handler` answer this method of this path of a coordinator's API, such as `GET` of `/reports/{name}`.

        `admin`: only admins may. `group`: it goes with `coordinator.api.endpoints.<group>`. A path that is torkd's own is refused
        when the daemon starts. Raises `StartError` for what is no endpoint, or is registered already.
        """
        self._check_open("register_endpoint")
        endpoint = Endpoint(method=method.upper(), path=path, handler=handler, admin=admin, group=group)
        if endpoint.method not in METHODS:
            raise StartError(f"the endpoint {endpoint} can't be registered: right would be one of {', '.join(METHODS)}")
        if not path.startswith("/"):
            raise StartError(f"the endpoint {endpoint} can't be registered: a path begins with /")
        if not callable(handler):
            raise StartError(f"the endpoint {endpoint} can't be registered: its handler is no function")
        if str(endpoint) in map(str, self.endpoints):
            raise StartError(f"the endpoint {endpoint} is registered twice")
        self.endpoints.append(endpoint)

    def register_web_middleware(self, middleware: Any) -> None:
        """Let every request to a coordinator's API pass this first, outside of all that is ours; the first registered outermost.

        Falcon middleware (an object with `process_request`, `process_resource` or `process_response`), or a function that takes
        a WSGI application and returns one; all of the latter are outside of the former. Raises `StartError` for anything else.
        """
        self._check_open("register_web_middleware")
        if any(callable(getattr(middleware, name, None)) for name in WEB_METHODS):
            self.web_middleware.append(middleware)
        elif callable(middleware):
            self.wsgi_middleware.append(middleware)
        else:
            raise StartError(
                f"{_name_of(middleware)} can't be registered as web middleware: right would be an object with one of "
                f"{', '.join(WEB_METHODS)}, or a function that wraps a WSGI application"
            )

    def register_job_middleware(self, middleware: JobMiddleware) -> None:
        """Let this see jobs (`torkd.middleware.JobMiddleware`). Raises `StartError` for an object with none of its methods."""
        self._check_open("register_job_middleware")
        self.job_middleware.append(_checked(middleware, JobMiddleware, "job"))

    def register_task_middleware(self, middleware: TaskMiddleware) -> None:
        """Let this see tasks (`torkd.middleware.TaskMiddleware`). Raises `StartError` for an object with none of its methods."""
        self._check_open("register_task_middleware")
        self.task_middleware.append(_checked(middleware, TaskMiddleware, "task"))

    def register_node_middleware(self, middleware: NodeMiddleware) -> None:
        """Let this see nodes (`torkd.middleware.NodeMiddleware`). Raises `StartError` for an object with none of its methods."""
        self._check_open("register_node_middleware")
        self.node_middleware.append(_checked(middleware, NodeMiddleware, "node"))

    def register_log_middleware(self, middleware: LogMiddleware) -> None:
        """Let this see logs (`torkd.middleware.LogMiddleware`). Raises `StartError` for an object with none of its methods."""
        self._check_open("register_log_middleware")
        self.log_middleware.append(_checked(middleware, LogMiddleware, "log"))

    def load_plugins(self) -> None:
        """Let every installed plugin register what it has. Raises `StartError` naming one that fails."""
        for entry in entry_points(group=GROUP):
            try:
                entry.load()(self)
            except Exception as error:  # whatever it is, it is this plugin's, and told with its name
                raise StartError(f"the plugin '{entry.name}' ({entry.value}) failed to register: {error}") from error

    def read_settings(self) -> Loaded:
        """The settings in force, with these components known. Raises `SettingsError`."""
        return load_settings(
            os.environ,
            cwd=Path.cwd(),
            home=Path.home(),
            known_brokers=tuple(self.brokers),
            known_datastores=tuple(self.datastores),
            known_runtimes=tuple(self.runtimes),
        )

    def seal(self) -> None:
        """Take no more: the engine is about to start."""
        self._is_sealed = True

    def make_mounters(self, runtime: str, sections: Mapping[str, Section]) -> dict[str, Mounter]:
        """The mounters of a runtime by type; `sections` are the custom ones by their full name, `mounter.<type>`.

        Raises `StartError` naming one that fails.
        """
        made: dict[str, Mounter] = {}
        for (of_runtime, type_), make in self.mounters.items():
            if of_runtime != runtime:
                continue
            try:
                made[type_] = make(sections.get(f"mounter.{type_}", {}))
            except Exception as error:  # whatever it is, it is this mounter's, and told with its type
                raise StartError(f"the mounter of type '{type_}' can't be made: {error}") from error
        return made

    def run_hooks(self) -> RunHooks:
        """What a worker calls."""
        return RunHooks(
            before_run=Chain(self.task_middleware, "before_run", TaskMiddleware),
            after_run=Chain(self.task_middleware, "after_run", TaskMiddleware),
            printed=Chain(self.log_middleware, "printed", LogMiddleware),
        )

    def told(self) -> Told:
        """What a coordinator tells of what it committed."""
        return Told(
            job=Chain(self.job_middleware, "changed", JobMiddleware),
            task=Chain(self.task_middleware, "changed", TaskMiddleware),
            node=Chain(self.node_middleware, "seen", NodeMiddleware),
        )

    def shown(self) -> Shown:
        """What documents pass on their way out of the API."""
        return Shown(
            job=Chain(self.job_middleware, "shown", JobMiddleware),
            task=Chain(self.task_middleware, "shown", TaskMiddleware),
            log=Chain(self.log_middleware, "shown", LogMiddleware),
        )

    def submitted(self) -> Chain:
        """What a job passes before it is accepted."""
        return Chain(self.job_middleware, "submitted", JobMiddleware)

    def wrap(self, app: Wsgi) -> Wsgi:
        """The application inside of all WSGI middleware. Raises `StartError` naming one that fails."""
        for middleware in reversed(self.wsgi_middleware):
            try:
                app = middleware(app)
            except Exception as error:  # whatever it is, it is this middleware's, and told with its name
                raise StartError(f"the web middleware {_name_of(middleware)} failed at the start: {error}") from error
        return app

    def _check_open(self, called: str) -> None:
        if self._is_sealed:
            raise StartError(f"{called} was called after the engine was started: register everything before")


def _check_free(kind: str, name: str, built_in: Collection[str], registered: Collection[str]) -> None:
    """A job must not run on something else than what its name says."""
    if name in built_in:
        raise StartError(
            f"the {kind} '{name}' can't be registered: that name is built in (right would be another name)"
        )
    if name in registered:
        raise StartError(f"the {kind} '{name}' is registered twice (right would be another name, or one plugin less)")


def _checked(middleware: T, port: type, kind: str) -> T:
    """A misspelt method would never be called, and nobody would know."""
    methods = [name for name in vars(port) if not name.startswith("_")]
    if not any(getattr(type(middleware), name, None) not in {None, getattr(port, name)} for name in methods):
        raise StartError(
            f"{_name_of(middleware)} can't be registered as {kind} middleware: it has none of {', '.join(methods)}"
        )
    return middleware


def _name_of(thing: object) -> str:
    return getattr(thing, "__qualname__", None) or type(thing).__qualname__
