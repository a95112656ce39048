"""Settings of a coordinator: where it listens, which endpoints it serves, and how many consumers it has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from torkd.settings.addresses import check_address
from torkd.settings.kinds import FilePath, Flag, Number, Text
from torkd.settings.sections.section import Section

_CONSUMERS = Number(means="consumers of this queue; less than 1 counts as 1", least=1, most=10_000, raised=True)


class Endpoints(Section, frozen=True, kw_only=True):
    """`[coordinator.api.endpoints]`: the endpoints that are served."""

    health: Annotated[bool, Flag(means="serve `/health`")] = True
    jobs: Annotated[bool, Flag(means="serve jobs and scheduled jobs")] = True
    tasks: Annotated[bool, Flag(means="serve tasks")] = True
    nodes: Annotated[bool, Flag(means="serve `/nodes`")] = True
    queues: Annotated[bool, Flag(means="serve `/queues`")] = True
    metrics: Annotated[bool, Flag(means="serve `/metrics`")] = True
    users: Annotated[bool, Flag(means="serve `/users`")] = True


class Api(Section, frozen=True, kw_only=True):
    """`[coordinator.api]`"""

    endpoints: Endpoints = Endpoints()


class CoordinatorQueues(Section, frozen=True, kw_only=True):
    """`[coordinator.queues]`: the queues of events, and how many consumers each has."""

    completed: Annotated[int, _CONSUMERS] = 1
    error: Annotated[int, _CONSUMERS] = 1
    pending: Annotated[int, _CONSUMERS] = 1
    started: Annotated[int, _CONSUMERS] = 1
    heartbeat: Annotated[int, _CONSUMERS] = 1
    jobs: Annotated[int, _CONSUMERS] = 1
    logs: Annotated[int, _CONSUMERS] = 1
    progress: Annotated[int, _CONSUMERS] = 1
    redeliveries: Annotated[int, _CONSUMERS] = 1


class Tls(Section, frozen=True, kw_only=True):
    """`[coordinator.tls]`"""

    cert: Annotated[
        Path | None,
        FilePath(means="serve HTTPS with this certificate (PEM, with those above it)", default_text="plain HTTP"),
    ] = None
    key: Annotated[Path | None, FilePath(means="its private key (PEM)", default_text="plain HTTP")] = None


class Coordinator(Section, frozen=True, kw_only=True):
    """`[coordinator]`"""

    address: Annotated[
        str | None,
        Text(
            means="where the API listens, as host:port",
            default_text="first free of localhost:8000 to 8099",
            check=check_address,
        ),
    ] = None
    name: Annotated[str, Text(means="the name shown among the nodes")] = "Coordinator"
    processes: Annotated[
        int, Number(means="processes that serve the API, each a full coordinator", least=1, most=256)
    ] = 1
    tls: Tls = Tls()
    api: Api = Api()
    queues: CoordinatorQueues = CoordinatorQueues()


COORDINATOR_QUEUES = frozenset(CoordinatorQueues.__struct_fields__)
# names that no worker may serve
