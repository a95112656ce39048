"""Settings of a worker: which queues it serves, its limits, and what tasks may mount."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from msgspec import field

from torkd.settings.addresses import check_address
from torkd.settings.checks import check_absolute_path, check_cpus, check_memory, check_timeout
from torkd.settings.kinds import Duration, FilePath, Flag, Numbers, Size, Text, Texts
from torkd.settings.sections.section import Section

_MILLISECOND = timedelta(milliseconds=1)


class Limits(Section, frozen=True, kw_only=True):
    """`[worker.limits]`: what a task gets that states no limit of its own."""

    cpus: Annotated[str | None, Text(means="processors of a task that sets none", check=check_cpus)] = None
    memory: Annotated[str | None, Text(means="memory of a task that sets none", check=check_memory)] = None
    timeout: Annotated[str | None, Text(means="time limit of a task that sets none", check=check_timeout)] = None


class Worker(Section, frozen=True, kw_only=True):
    """`[worker]`"""

    address: Annotated[
        str | None,
        Text(
            means="where the worker's health endpoint listens, as host:port",
            default_text="first free of :8001 to :8099",
            check=check_address,
        ),
    ] = None
    name: Annotated[str, Text(means="the name shown among the nodes")] = "Worker"
    queues: Annotated[
        Mapping[str, int],
        Numbers(means="tasks run at once from each queue, as `<queue> = <number>`", least=1, most=100_000),
    ] = field(default_factory=lambda: {"default": 1})
    limits: Limits = Limits()
    drain: Annotated[timedelta, Duration(means="time that running tasks get to end at shutdown")] = timedelta(
        seconds=30
    )
    grace: Annotated[timedelta, Duration(means="time between TERM and KILL of a task")] = timedelta(seconds=10)
    heartbeat: Annotated[timedelta, Duration(means="time between two signs of life of a run", least=_MILLISECOND)] = (
        timedelta(seconds=5)
    )
    lease: Annotated[
        timedelta,
        Duration(means="silence after which a run is given up; more than twice the heartbeat", least=_MILLISECOND),
    ] = timedelta(seconds=15)
    logs_max: Annotated[int, Size(key="logs.max", means="most log output kept of a task")] = 64_000_000


class Mounts(Section, frozen=True, kw_only=True):
    """`[mounts]`"""

    bind_allowed: Annotated[bool, Flag(key="bind.allowed", means="whether tasks may mount paths of the worker")] = False
    bind_sources: Annotated[
        tuple[str, ...],
        Texts(
            key="bind.sources",
            means="paths that may be mounted, with all below them; none when empty",
            check=check_absolute_path,
        ),
    ] = ()
    temp_dir: Annotated[Path, FilePath(key="temp.dir", means="where temporary work directories are made")] = Path(
        "/tmp"  # noqa: S108 -- the documented default; directories in it are made with mkdtemp
    )
