"""Puts a coordinator together: its datastore, its options, its place among the nodes, and the API over them."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

import torkd
from torkd.api.app import ApiDependencies, create_app
from torkd.api.options import api_options
from torkd.api.streams import Doorbell, StreamHub
from torkd.broker.protocol import Broker
from torkd.broker_wiring import make_key_ring
from torkd.checks import Checks, Indicators
from torkd.clock import new_id, utc_now
from torkd.coordinator.coordinator import Coordinator
from torkd.coordinator.options import CoordinatorOptions
from torkd.coordinator.traces import Traces
from torkd.datastore.postgres.datastore import PostgresDatastore
from torkd.datastore.postgres.pool import PoolOptions
from torkd.datastore.protocol import Datastore
from torkd.doctor.doctor import Doctor, DoctorOptions
from torkd.endpoints import Wsgi
from torkd.extensions import Extensions
from torkd.hooks.redact import Redactor
from torkd.hooks.webhook_sender import WebhookSender
from torkd.local_zone import local_zone
from torkd.node_identity import NodeIdentity, claim_identity
from torkd.settings import Settings
from torkd.settings.sections.middleware import BasicAuth, KeyAuth, RateLimit
from torkd.tracing.protocol import Tracing

if TYPE_CHECKING:
    from torkd.metrics.meters import Meters

FOREVER_SECONDS = 10 * 365 * 24 * 3600.0
PRIVATE_DRAIN_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class CoordinatorParts:
    """A coordinator and its API, not yet started, with what they stand on besides the broker."""

    datastore: Datastore
    coordinator: Coordinator
    streams: StreamHub
    app: Wsgi
    identity: NodeIdentity


def with_api_key(settings: Settings, tell: Callable[[str], object]) -> Settings:
    """The settings with a key for the API, where one is asked for and none is set: a new one, told this once and never logged.

    To be called before any fork: all processes ask for the same key.
    """
    keyauth = settings.middleware.web.keyauth
    if not keyauth.enabled or keyauth.key:
        return settings
    key = secrets.token_urlsafe(32)
    tell(f"torkd: middleware.web.keyauth.key is not set: until the next start the key is {key}\n")
    web = replace(settings.middleware.web, keyauth=replace(keyauth, key=key))
    return replace(settings, middleware=replace(settings.middleware, web=web))


def without_sign_in(settings: Settings) -> Settings:
    """The settings of an engine that has a door of its own, and one client."""
    web = replace(settings.middleware.web, basicauth=BasicAuth(), keyauth=KeyAuth(), ratelimit=RateLimit())
    return replace(settings, middleware=replace(settings.middleware, web=web))


def make_coordinator(
    settings: Settings,
    broker: Broker,
    *,
    dsn: str,
    port: int,
    extensions: Extensions,
    indicators: Indicators,
    broker_is_ours: bool,
    is_private: bool = False,
    tracing: Tracing | None = None,
) -> CoordinatorParts:
    """A coordinator on the database at `dsn`. `/health` asks the `indicators` besides the datastore and the broker.

    Its node id is the first that no process of this host uses. With `broker_is_ours` every run of before is lost at the start.
    A private one has no figures but those of the database, and nobody looks into that after it: what webhooks wait for then is
    delivered at its end, or not at all. `tracing` belongs to the caller, who closes it afterwards.
    """
    identity = claim_identity(settings.data.dir, "coordinator")
    with ExitStack() as undone:
        undone.callback(identity.release)
        datastore = make_datastore(settings, extensions, dsn)
        options = _coordinator_options(
            settings, identity.node_id, port, broker_is_ours=broker_is_ours, is_private=is_private
        )
        checks = Checks({"datastore": datastore.check_health, "broker": broker.check_health, **indicators})
        meters = _make_meters(checks, datastore, broker) if not is_private else None
        webhook = settings.middleware.webhook
        sender = WebhookSender(secret=webhook.secret or "", allow_private=webhook.allow_private)
        redactor = make_redactor(settings)
        coordinator = Coordinator(
            datastore,
            broker,
            options,
            new_id=new_id,
            observer=meters,
            told=extensions.told(),
            sender=sender,
            traces=None if tracing is None else Traces(datastore, tracing, redactor),
        )
        doorbell = Doorbell(broker, datastore.versions_of)
        streams = StreamHub(doorbell) if meters is None else StreamHub(doorbell, on_count=meters.streams_open)
        dependencies = ApiDependencies(
            commands=coordinator,
            reading=datastore,
            accounts=datastore,
            broker=broker,
            streams=streams,
            doctor=make_doctor(settings, datastore, broker),
            redactor=redactor,
            checks=checks,
            figures=meters,
            tracing=tracing,
            version=torkd.__version__,
            options=api_options(settings),
            middleware=tuple(extensions.web_middleware),
            endpoints=tuple(extensions.endpoints),
            submitted=extensions.submitted(),
            shown=extensions.shown(),
        )
        made = CoordinatorParts(
            datastore=datastore,
            coordinator=coordinator,
            streams=streams,
            app=extensions.wrap(create_app(dependencies)),
            identity=identity,
        )
        undone.pop_all()
    return made


def _make_meters(checks: Checks, datastore: Datastore, broker: Broker) -> Meters:
    # After the fork, and not by who has no use for it: prometheus-client decides when it is imported where its figures are kept.
    from torkd.metrics.meters import Meters

    return Meters(
        torkd.__version__,
        checks,
        figures=datastore.figures,
        webhooks=datastore.webhook_figures,
        queues=broker.queues,
    )


def make_doctor(settings: Settings, datastore: Datastore, broker: Broker | None) -> Doctor:
    """The doctor over an open datastore, and an open broker where there is one to ask."""
    options = DoctorOptions(lease=settings.worker.lease.total_seconds())
    return Doctor(datastore, broker, options, new_id=new_id, clock=utc_now)


def make_datastore(settings: Settings, extensions: Extensions, dsn: str) -> Datastore:
    """The datastore the settings name."""
    make = extensions.datastores.get(settings.datastore.type)
    if make is not None:
        return make(settings.custom.get(f"datastore.{settings.datastore.type}", {}))
    return postgres_datastore(settings, dsn)


def postgres_datastore(settings: Settings, dsn: str) -> PostgresDatastore:
    """The one of PostgreSQL."""
    postgres = settings.datastore.postgres
    return PostgresDatastore(
        PoolOptions(
            dsn=dsn,
            max_connections=postgres.max_open_conns,
            max_idle=postgres.max_idle_conns,
            max_lifetime=postgres.conn_max_lifetime.total_seconds() or FOREVER_SECONDS,
            max_idle_time=postgres.conn_max_idle_time.total_seconds() or FOREVER_SECONDS,
        ),
        make_key_ring(settings),
        make_redactor(settings),
    )


def make_redactor(settings: Settings) -> Redactor:
    """What hides secrets, as the settings say."""
    redact = settings.middleware.job.redact
    return Redactor(redact.patterns, enabled=redact.enabled)


def _coordinator_options(
    settings: Settings, node_id: str, port: int, *, broker_is_ours: bool, is_private: bool
) -> CoordinatorOptions:
    queues = settings.coordinator.queues
    retention = settings.datastore.retention
    return CoordinatorOptions(
        node_id=node_id,
        name=settings.coordinator.name,
        hostname=socket.gethostname(),
        port=port,
        version=torkd.__version__,
        zone=local_zone(),
        loops=max(getattr(queues, name) for name in queues.__struct_fields__),
        heartbeat=settings.worker.heartbeat.total_seconds(),
        lease=settings.worker.lease.total_seconds(),
        retention_jobs=retention.jobs.total_seconds(),
        retention_logs=retention.logs.total_seconds(),
        retention_audit=retention.audit.total_seconds(),
        webhook_drain=PRIVATE_DRAIN_SECONDS if is_private else 0.0,
        broker_is_ours=broker_is_ours,
    )
