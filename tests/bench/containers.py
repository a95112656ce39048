"""A step in a container, beside the same container made, started, waited for and removed on the same engine with nothing of ours.

Every engine is one of the benchmark's own. One that is not installed is named, and the others are measured.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, harmonic_mean, median
from typing import Any

from tests.bench.bare_containers import COMMAND, BareContainers
from tests.bench.daemons import Took, container_daemon, time_awaited_job
from tests.bench.figures import Figure
from tests.support import docker_engine, podman_engine
from tests.support.daemon import Daemon
from tests.support.engines import ContainerEngine, EngineNotStarted, shared_server
from tests.support.images import BUSYBOX

STEPS = 20
ITEMS = 40
AT_ONCE = 4
ROUNDS = 4
SIDE_BY_SIDE_ROUNDS = 12
"""More, since a container side by side with others takes now half and now twice the usual time, with us and without."""
VOLUME_ROUNDS = 2
AT_MOST = 1.15
"""How long a step may take, of the bare container's time."""
AT_LEAST = 0.95
"""How many containers a second there must be side by side, of the bare ones."""
IMAGE = "bb"
_HIDE = 'mount -t tmpfs tmpfs "$0" && exec "$@"'

Job = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """An engine that can be measured."""

    title: str
    variable: str
    programs: Sequence[str]
    has_targets: bool

    @property
    def name(self) -> str:
        """What `runtime.type` calls it."""
        return self.title.lower()

    @property
    def lack(self) -> str:
        """Why it can't be measured here; empty if it can."""
        missing = [program for program in (*self.programs, BUSYBOX) if shutil.which(program) is None]
        if missing:
            return f"missing: {', '.join(missing)} (`make servers` installs them on Debian)"
        return "" if os.geteuid() == 0 else "starting a container engine of its own takes root"


KINDS = (
    Kind(title="Docker", variable="DOCKER_HOST", programs=docker_engine.PROGRAMS, has_targets=True),
    Kind(title="Podman", variable="CONTAINER_HOST", programs=podman_engine.PROGRAMS, has_targets=False),
)


def container_figures() -> Iterator[Figure]:
    """All of them, of the engines that are here."""
    for kind in KINDS:
        if kind.lack:
            _say(f"{kind.title} is not measured; {kind.lack}")
            continue
        try:
            with shared_server(kind.name) as base:
                engine = ContainerEngine(name=kind.name, variable=kind.variable, base=base)
                with closing(BareContainers(engine, IMAGE)) as bare:
                    yield from _of_engine(kind, engine, bare)
        except EngineNotStarted as error:
            _say(f"{kind.title} is not measured: {error}")


def _of_engine(kind: Kind, engine: ContainerEngine, bare: BareContainers) -> Iterator[Figure]:
    with container_daemon(engine.settings, slots=AT_ONCE) as daemon:
        yield from _steps(kind.title, daemon, bare, rounds=ROUNDS, has_target=kind.has_targets)
        yield _side_by_side(kind.title, daemon, bare, has_target=kind.has_targets)
    with _blind_daemon(engine) as daemon:
        yield from _steps(f"{kind.title}, no bind", daemon, bare, rounds=VOLUME_ROUNDS, has_target=False)


def _steps(title: str, daemon: Daemon, bare: BareContainers, *, rounds: int, has_target: bool) -> Iterator[Figure]:
    job = {"name": f"{STEPS} steps", "tasks": [_task(f"step {n}") for n in range(STEPS)]}
    _warm_up(daemon, bare)
    took, bare_ms = list[Took](), list[float]()
    for _ in range(rounds):
        bare_ms.append(bare.step_ms(STEPS))
        took.append(time_awaited_job(daemon, job))
    reference = median(bare_ms)
    times = {
        "startedAt to completedAt": median(each.engine_seconds for each in took) / STEPS * 1000,
        "POST to COMPLETED": median(each.seconds for each in took) / STEPS * 1000,
    }
    for what, measured in times.items():
        yield Figure(
            name=f"a container step, {title}: {what}",
            measured=measured,
            unit="ms",
            reference="create, start, wait, remove",
            reference_measured=reference,
            result=measured / reference,
            result_unit="x",
            target=f"<= {AT_MOST:g}" if has_target else "",
            met=measured / reference <= AT_MOST if has_target else None,
            cpu_ms=_cpu_ms(took),
        )


def _side_by_side(title: str, daemon: Daemon, bare: BareContainers, *, has_target: bool) -> Figure:
    each = {"list": f"{{{{ sequence(0, {ITEMS}) }}}}", "task": _task("item")}
    job = {"name": f"each over {ITEMS}", "tasks": [{"name": "all", "each": each}]}
    _warm_up(daemon, bare)
    took, rates = list[Took](), list[float]()
    for number in range(SIDE_BY_SIDE_ROUNDS):
        turns: list[Callable[[], None]] = [
            lambda: rates.append(bare.per_second(ITEMS, AT_ONCE)),
            lambda: took.append(time_awaited_job(daemon, job)),
        ]
        for turn in reversed(turns) if number % 2 else turns:  # what one leaves the engine to do, the next one pays
            turn()
    measured, reference = ITEMS / fmean(each_took.seconds for each_took in took), harmonic_mean(rates)
    return Figure(
        name=f"containers, {title}, {AT_ONCE} at once",
        measured=measured,
        unit="/s",
        reference=f"the same by {AT_ONCE} threads",
        reference_measured=reference,
        result=measured / reference,
        result_unit="x",
        target=f">= {AT_LEAST:g}" if has_target else "",
        met=measured / reference >= AT_LEAST if has_target else None,
        cpu_ms=_cpu_ms(took, ITEMS),
    )


@contextmanager
def _blind_daemon(engine: ContainerEngine) -> Iterator[Daemon]:
    """A daemon whose directories the engine can't see, as if it were on another machine: all goes by volumes and copies."""
    hidden = Path(tempfile.mkdtemp(prefix="torkd-bench-"))
    settings = {**engine.settings, "TORK_MOUNTS_TEMP_DIR": str(hidden)}
    try:
        with container_daemon(
            settings, slots=AT_ONCE, prefix=("unshare", "--mount", "sh", "-c", _HIDE, str(hidden))
        ) as daemon:
            yield daemon
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _warm_up(daemon: Daemon, bare: BareContainers) -> None:
    bare.step_ms(1)
    time_awaited_job(daemon, {"name": "warm up", "tasks": [_task("step")]})


def _task(name: str) -> Job:
    return {"name": name, "image": IMAGE, "run": COMMAND[-1]}


def _cpu_ms(took: Sequence[Took], count: int = STEPS) -> float:
    return median(each_took.cpu_seconds for each_took in took) / count * 1000


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
