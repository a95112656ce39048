"""The REST API as a WSGI application: which resource answers which path, and what every request passes first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torkd.api import errors
from torkd.api.application import App
from torkd.api.commands import Commands
from torkd.api.dead_letters import DeadLettersResource
from torkd.api.doctor import Doctor, DoctorResource
from torkd.api.documentation import DocumentationResource
from torkd.api.events import EventsResource
from torkd.api.figures import Figures
from torkd.api.health import HealthResource
from torkd.api.jobs import JobResource, JobsResource
from torkd.api.metrics import MetricsResource
from torkd.api.middleware.body_limit import BodyLimit
from torkd.api.middleware.cors import Cors
from torkd.api.middleware.request_figures import RequestFigures
from torkd.api.middleware.request_log import RequestLog
from torkd.api.nodes import NodesResource
from torkd.api.options import ApiOptions
from torkd.api.queues import QueuesResource
from torkd.api.showing import Showing
from torkd.api.streams import StreamHub
from torkd.api.submission import Submission
from torkd.api.tasks import TaskResource
from torkd.broker.protocol import Broker
from torkd.checks import Checks
from torkd.datastore.protocol import Reading
from torkd.hooks.redact import Redactor


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiDependencies:
    """What the API of a coordinator stands on."""

    version: str
    reading: Reading
    commands: Commands
    broker: Broker
    streams: StreamHub
    checks: Checks
    figures: Figures | None = None
    """Who counts, if anybody does."""
    doctor: Doctor | None = None
    redactor: Redactor = field(default_factory=Redactor)
    options: ApiOptions = field(default_factory=ApiOptions)
    middleware: tuple[object, ...] = ()
    """Registered by users of the library: falcon middleware that every request passes first."""


def create_app(dependencies: ApiDependencies) -> App:
    """The API of a coordinator."""
    counting = () if dependencies.figures is None else (RequestFigures(dependencies.figures),)
    app = _bare_app(dependencies.options, (*counting, *dependencies.middleware))
    groups = dependencies.options.groups
    if "health" in groups:
        app.add_route("/health", HealthResource(dependencies.checks, dependencies.version))
    if "jobs" in groups:
        _add_jobs(app, dependencies)
    if "tasks" in groups:
        task = TaskResource(dependencies.reading, _showing(dependencies), dependencies.streams)
        app.add_route("/tasks/{task_id}", task)
        app.add_route("/tasks/{task_id}/log", task, suffix="log")
        app.add_route("/tasks/{task_id}/log/stream", task, suffix="log_stream")
    if "nodes" in groups:
        app.add_route("/nodes", NodesResource(dependencies.reading))
    if "queues" in groups:
        queues = QueuesResource(dependencies.broker)
        app.add_route("/queues", queues)
        app.add_route("/queues/{name}", queues, suffix="one")
        dead = DeadLettersResource(dependencies.broker, dependencies.reading, dependencies.redactor)
        app.add_route("/queues/dead", dead)
        app.add_route("/queues/dead/{letter_id}", dead, suffix="one")
        app.add_route("/queues/dead/{letter_id}/replay", dead, suffix="replay")
    if dependencies.doctor is not None:
        doctor = DoctorResource(dependencies.doctor)
        app.add_route("/doctor", doctor)
        app.add_route("/doctor/fix", doctor, suffix="fix")
    if "metrics" in groups:
        app.add_route("/metrics", MetricsResource(dependencies.reading, dependencies.figures))
    documentation = DocumentationResource(app, dependencies.version)
    app.add_route("/openapi.json", documentation)
    app.add_route("/docs", documentation, suffix="page")
    return app


def create_health_app(version: str, checks: Checks, options: ApiOptions | None = None) -> App:
    """The API of a worker: its health and nothing else."""
    app = _bare_app(options or ApiOptions())
    app.add_route("/health", HealthResource(checks, version))
    return app


def _bare_app(options: ApiOptions, middleware: tuple[object, ...] = ()) -> App:
    """Layers from the outside in: what counts, registered ones, CORS, limits, the request log."""
    layers: list[Any] = list(middleware)
    if options.cors is not None:
        layers.append(Cors(options.cors))
    layers.append(BodyLimit(options.body_limit))
    if options.request_log_level is not None:
        layers.append(RequestLog(options.request_log_level, options.request_log_skip))
    app = App(middleware=layers)
    app.req_options.strip_url_path_trailing_slash = False
    errors.install(app)
    return app


def _add_jobs(app: App, dependencies: ApiDependencies) -> None:
    reading, commands, streams = dependencies.reading, dependencies.commands, dependencies.streams
    showing = _showing(dependencies)
    submission = Submission(reading, showing, commands, streams, body_limit=dependencies.options.body_limit)
    app.add_route("/jobs", JobsResource(reading, showing, submission))
    job = JobResource(reading, showing, commands, streams)
    app.add_route("/jobs/{job_id}", job)
    for path, suffix in (
        ("log", "log"),
        ("log/stream", "log_stream"),
        ("events", "events"),
        ("cancel", "cancel"),
        ("restart", "restart"),
    ):
        app.add_route(f"/jobs/{{job_id}}/{path}", job, suffix=suffix)
    app.add_route("/events", EventsResource(reading, showing, streams))


def _showing(dependencies: ApiDependencies) -> Showing:
    return Showing(dependencies.reading, dependencies.redactor)
