"""What killed daemons have left on this machine. A directory whose lock is held belongs to one that lives, and is not looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tork.diagnosis import Check, Diagnosis, Repair, Treatment
from torkd.doctor.checks import diagnosis_of
from torkd.node_identity import dead_nodes
from torkd.runtime.work_area import leftovers, reap_leftovers

WORK, CONTAINERS = "work directories", "containers"
_SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class HostPlaces:
    """Where daemons of this machine keep what could be left."""

    data: Path
    """The data directory, with the locks of the node ids."""
    temp: Path
    """Where tasks of the shell have their directories."""
    runs: Path
    """Where runs in containers have theirs, by node."""


def examine_host(places: HostPlaces) -> Diagnosis:
    """Both checks."""
    return diagnosis_of([_work(places), _containers(places)])


def treat_host(places: HostPlaces, *, dry_run: bool) -> Treatment:
    """End processes that nobody waits for and remove their directories; or only say so."""
    found = examine_host(places)
    wrong = [check for check in found.checks if not check.ok and check.repair]
    repairs = [Repair(name=check.name, action=check.repair, ids=check.ids) for check in wrong]
    if wrong and not dry_run:
        reap_leftovers(places.temp.resolve())
        found = examine_host(places)
    return Treatment(dry_run=dry_run, repairs=repairs, after=found)


def _work(places: HostPlaces) -> Check:
    found = leftovers(places.temp.resolve())
    if not found:
        return Check(name=WORK, ok=True, message="none is left of a daemon that was killed")
    processes = [pid for pids in found.values() for pid in pids]
    running = f", with the processes {_some(processes)}" if processes else ""
    return Check(
        name=WORK,
        ok=False,
        message=f"left of a daemon that was killed: {_some(found)}{running}",
        ids=[str(path) for path in found],
        advice="start torkd, or torkd doctor --fix",
        repair="end the processes and remove the directories",
    )


def _containers(places: HostPlaces) -> Check:
    """A run that has a directory may have containers: it is made before them and removed after them."""
    runs: dict[str, list[str]] = {}
    if places.runs.is_dir() and any(places.runs.iterdir()):
        with dead_nodes(places.data, "worker") as nodes:
            dead = list(nodes)
        for node in dead:
            directory = places.runs / node
            names = sorted(entry.name for entry in directory.iterdir()) if directory.is_dir() else []
            if names:
                runs[node] = names
    if not runs:
        return Check(name=CONTAINERS, ok=True, message="none is left without a daemon")
    ids = [run for names in runs.values() for run in names]
    labels = " ".join(f"--filter label=torkd.node={node}" for node in list(runs)[:1])
    return Check(
        name=CONTAINERS,
        ok=False,
        message=f"runs without a daemon: {_some(ids)}",
        ids=ids,
        advice=f"start torkd: it goes on with their containers, or removes them (docker ps {labels})",
    )


def _some(things: Iterable[object]) -> str:
    every = [str(thing) for thing in things]
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more
