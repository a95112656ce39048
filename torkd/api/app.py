"""The REST API as a WSGI application: which resource answers which path, and what every request passes first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import falcon

from torkd.accounts.sign_in import SignIn
from torkd.api import errors
from torkd.api.application import App
from torkd.api.audit import AuditResource
from torkd.api.commands import Commands
from torkd.api.dead_letters import DeadLettersResource
from torkd.api.doctor import Doctor, DoctorResource
from torkd.api.documentation import DocumentationResource
from torkd.api.endpoints import RequestContext, add_endpoints
from torkd.api.events import EventsResource
from torkd.api.figures import Figures
from torkd.api.health import HealthResource
from torkd.api.job_webhooks import JobWebhooksResource
from torkd.api.jobs import JobResource, JobsResource
from torkd.api.keys import KeysResource
from torkd.api.metrics import MetricsResource
from torkd.api.middleware.authentication import Authentication
from torkd.api.middleware.body_limit import BodyLimit
from torkd.api.middleware.client_address import ClientAddress
from torkd.api.middleware.cors import Cors
from torkd.api.middleware.rate_limit import RateLimit
from torkd.api.middleware.request_figures import RequestFigures
from torkd.api.middleware.request_log import RequestLog
from torkd.api.middleware.request_traces import RequestTraces
from torkd.api.nodes import NodesResource
from torkd.api.options import GROUPS, ApiOptions
from torkd.api.permissions import Permissions
from torkd.api.queues import QueuesResource
from torkd.api.roles import RolesResource
from torkd.api.scheduled_jobs import ScheduledJobResource, ScheduledJobsResource
from torkd.api.showing import Showing
from torkd.api.streams import StreamHub
from torkd.api.submission import Submission
from torkd.api.tasks import TaskResource
from torkd.api.users import UsersResource
from torkd.broker.protocol import Broker
from torkd.checks import Checks
from torkd.clock import new_id
from torkd.datastore.account_protocol import Accounts
from torkd.datastore.protocol import Reading
from torkd.endpoints import Endpoint
from torkd.hooks.redact import Redactor
from torkd.middleware import Chain, Shown
from torkd.tracing.protocol import Tracing


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiDependencies:
    """What the API of a coordinator stands on."""

    version: str
    reading: Reading
    accounts: Accounts
    commands: Commands
    broker: Broker
    streams: StreamHub
    checks: Checks
    figures: Figures | None = None
    """Who counts, if anybody does."""
    tracing: Tracing | None = None
    """Who takes spans of requests, if anybody does."""
    doctor: Doctor | None = None
    redactor: Redactor = field(default_factory=Redactor)
    options: ApiOptions = field(default_factory=ApiOptions)
    middleware: tuple[object, ...] = ()
    """Registered by the operator: falcon middleware that every request passes first. So are the next three."""
    endpoints: tuple[Endpoint, ...] = ()
    submitted: Chain = field(default_factory=Chain)
    """What a job passes before it is accepted."""
    shown: Shown = field(default_factory=Shown)
    """What documents pass on their way out."""


def create_app(dependencies: ApiDependencies) -> App:
    """The API of a coordinator."""
    counting = () if dependencies.figures is None else (RequestFigures(dependencies.figures),)
    tracing = () if dependencies.tracing is None else (RequestTraces(dependencies.tracing),)
    sign_in = SignIn(dependencies.accounts, configured_key=dependencies.options.key)
    outermost = (*counting, *tracing, *dependencies.middleware)
    app = _bare_app(dependencies.options, outermost, dependencies.accounts, sign_in)
    groups = dependencies.options.groups
    if "health" in groups:
        app.add_route("/health", HealthResource(dependencies.checks, dependencies.version))
    if "jobs" in groups:
        _add_jobs(app, dependencies)
    if "tasks" in groups:
        task = TaskResource(dependencies.reading, _showing(dependencies), dependencies.commands, dependencies.streams)
        app.add_route("/tasks/{task_id}", task)
        app.add_route("/tasks/{task_id}/skip", task, suffix="skip")
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
    if "users" in groups:
        _add_accounts(app, dependencies, sign_in)
    if "metrics" in groups:
        app.add_route("/metrics", MetricsResource(dependencies.reading, dependencies.figures))
    documentation = DocumentationResource(app, dependencies.version, dependencies.options)
    app.add_route("/openapi.json", documentation)
    app.add_route("/docs", documentation, suffix="page")
    if dependencies.endpoints:
        _add_endpoints(app, dependencies)
    return app


def create_health_app(version: str, checks: Checks, options: ApiOptions | None = None) -> App:
    """The API of a worker: its health and nothing else."""
    app = _bare_app(options or ApiOptions())
    app.add_route("/health", HealthResource(checks, version))
    return app


def _bare_app(
    options: ApiOptions,
    middleware: tuple[object, ...] = (),
    accounts: Accounts | None = None,
    sign_in: SignIn | None = None,
) -> App:
    """Layers from the outside in: what counts and traces, registered ones, the log, which sees what others refuse, CORS, limits, who asks,
    and what they may.
    """
    layers: list[Any] = [*middleware, ClientAddress(options.trusted_proxies)]
    if options.request_log_level is not None:
        layers.append(RequestLog(options.request_log_level, options.request_log_skip))
    if options.cors is not None:
        layers.append(Cors(options.cors))
    if options.requests_per_second is not None:
        layers.append(RateLimit(options.requests_per_second))
    if sign_in is not None and options.asks_who:
        layers.append(Authentication(sign_in, passwords=options.asks_passwords, keys=options.asks_keys))
    layers.append(BodyLimit(options.body_limit))
    if accounts is not None:
        layers.append(Permissions(accounts))
    app = App(middleware=layers)
    app.req_options.strip_url_path_trailing_slash = False
    errors.install(app)
    return app


def _add_jobs(app: App, dependencies: ApiDependencies) -> None:
    reading, commands, streams = dependencies.reading, dependencies.commands, dependencies.streams
    showing = _showing(dependencies)
    submission = _submission(dependencies, showing)
    app.add_route("/jobs", JobsResource(reading, showing, submission))
    job = JobResource(reading, showing, commands, streams)
    app.add_route("/jobs/{job_id}", job)
    for path, suffix in (
        ("log", "log"),
        ("log/stream", "log_stream"),
        ("events", "events"),
        ("cancel", "cancel"),
        ("restart", "restart"),
        ("retry", "retry"),
    ):
        app.add_route(f"/jobs/{{job_id}}/{path}", job, suffix=suffix)
    scheduled = ScheduledJobResource(reading, showing, commands)
    body_limit = dependencies.options.body_limit
    app.add_route("/scheduled-jobs", ScheduledJobsResource(reading, showing, submission, body_limit=body_limit))
    app.add_route("/scheduled-jobs/{schedule_id}", scheduled)
    for suffix in ("pause", "resume", "run", "next"):
        app.add_route(f"/scheduled-jobs/{{schedule_id}}/{suffix}", scheduled, suffix=suffix)
    app.add_route("/jobs/{job_id}/webhooks", JobWebhooksResource(reading, showing))
    app.add_route("/events", EventsResource(reading, showing, streams))


def _add_accounts(app: App, dependencies: ApiDependencies, sign_in: SignIn) -> None:
    accounts, limit = dependencies.accounts, dependencies.options.body_limit
    users = UsersResource(accounts, new_id=new_id, changed=sign_in.forget, body_limit=limit)
    app.add_route("/users", users)
    app.add_route("/users/{user}", users, suffix="one")
    app.add_route("/users/{user}/password", users, suffix="password")
    app.add_route("/users/{user}/roles/{role}", users, suffix="role")
    roles = RolesResource(accounts, new_id=new_id, changed=sign_in.forget, body_limit=limit)
    app.add_route("/roles", roles)
    app.add_route("/roles/{role}", roles, suffix="one")
    keys = KeysResource(accounts, new_id=new_id, changed=sign_in.forget, body_limit=limit)
    app.add_route("/keys", keys)
    app.add_route("/keys/{key}", keys, suffix="one")
    app.add_route("/audit", AuditResource(accounts))


def _showing(dependencies: ApiDependencies) -> Showing:
    return Showing(dependencies.reading, dependencies.redactor, dependencies.shown)


def _submission(dependencies: ApiDependencies, showing: Showing) -> Submission:
    return Submission(
        dependencies.reading,
        showing,
        dependencies.commands,
        dependencies.streams,
        dependencies.accounts,
        body_limit=dependencies.options.body_limit,
        writes_down=dependencies.options.asks_who,
        submitted=dependencies.submitted,
    )


def _add_endpoints(app: App, dependencies: ApiDependencies) -> None:
    showing = _showing(dependencies)
    submission = _submission(dependencies, showing)

    def context(req: falcon.Request, fields: Mapping[str, str]) -> RequestContext:
        return RequestContext(
            req,
            fields,
            version=dependencies.version,
            reading=dependencies.reading,
            commands=dependencies.commands,
            showing=showing,
            submission=submission,
        )

    add_endpoints(
        app,
        dependencies.endpoints,
        make_context=context,
        groups=dependencies.options.groups,
        known_groups=GROUPS,
    )
