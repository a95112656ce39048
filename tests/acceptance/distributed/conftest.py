"""Servers for a module's tests, and a new cluster on them for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster, MakeCluster, Servers
from tests.support.rabbitmq import PROGRAMS


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Those of this run. They may be killed and started again, but run when a test begins."""
    if not PROGRAMS.joinpath("rabbitmq-server").exists():
        pytest.skip("missing: rabbitmq-server (`make servers` installs it on Debian)")
    with Servers.start() as servers:
        yield servers


@pytest.fixture
def make_cluster(servers: Servers) -> Iterator[MakeCluster]:
    """Makes the cluster, with settings for all of it."""
    made: list[Cluster] = []

    def make(settings: dict[str, str] | None = None) -> Cluster:
        made.append(Cluster(servers, settings))
        return made[-1]

    yield make
    for cluster in made:
        with cluster:
            pass


@pytest.fixture
def cluster(make_cluster: MakeCluster) -> Cluster:
    """Without any daemon yet."""
    return make_cluster()
