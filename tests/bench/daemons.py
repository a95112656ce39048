"""The daemons that are measured: as shipped, with 8 slots, on a real disk, their logging turned down."""

from __future__ import annotations

import json
import os
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from tests.support.daemon import Daemon

SLOTS = 8
_POLL_SECONDS = 0.01
"""Between two looks, or a hundredth of the time so far."""
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Took:
    """One job, or some, from the first POST to the last COMPLETED."""

    seconds: float
    """As a client sees it."""
    engine_seconds: float
    """From `startedAt` to `completedAt`; of the last job."""
    cpu_seconds: float


def shell_daemon() -> Daemon:
    """A daemon that runs scripts."""
    return Daemon({"TORK_RUNTIME_TYPE": "shell", **SETTINGS}, place=disk())


def noop_daemon() -> Daemon:
    """A daemon whose tasks do nothing."""
    program = Path(__file__).with_name("bench_daemon.py")
    return Daemon({"TORK_RUNTIME_TYPE": "noop", **SETTINGS}, command=(str(program),), place=disk())


def container_daemon(engine: Mapping[str, str], *, slots: int, prefix: tuple[str, ...] = ()) -> Daemon:
    """A daemon that runs containers; `engine` are the settings that lead to theirs, `prefix` goes before its command."""
    settings = {**SETTINGS, **engine, "TORK_WORKER_QUEUES_DEFAULT": str(slots)}
    return Daemon(settings, prefix=prefix, place=disk())


def time_job(daemon: Daemon, job: Mapping[str, Any], before: Sequence[Took] = ()) -> Took:
    """Submit it and wait for its end. Fails when that is not COMPLETED. How long it took before says when to look."""
    used = cpu_seconds(daemon)
    started = time.perf_counter()
    ended = completed(daemon, daemon.submit(job), min((took.seconds for took in before), default=0.0) * 0.8)
    return _took(daemon, ended, time.perf_counter() - started, used)


def time_awaited_job(daemon: Daemon, job: Mapping[str, Any]) -> Took:
    """Submit it, to be answered when it has ended: nobody asks meanwhile, which would slow down what is measured."""
    body = json.dumps({**job, "wait": {"timeout": f"{_PATIENCE_SECONDS:g}s"}}).encode()
    request = urllib.request.Request(f"{daemon.endpoint}/jobs", body, {"Content-Type": "application/json"})
    used = cpu_seconds(daemon)
    started = time.perf_counter()
    with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS + 10) as answer:
        ended = json.load(answer)
    seconds = time.perf_counter() - started
    if ended["state"] != "COMPLETED":
        raise RuntimeError(f"the job is {ended['state']}: {ended.get('error')}\n{daemon.told()}")
    return _took(daemon, ended, seconds, used)


def completed(daemon: Daemon, job_id: str, look_after_seconds: float = 0.0) -> Any:
    """The job as lists show it, once it is completed: every question is part of what is measured."""
    started = time.monotonic()
    time.sleep(look_after_seconds)
    while (waited := time.monotonic() - started) < _PATIENCE_SECONDS:
        (job,) = daemon.call("GET", f"/jobs?idPrefix={job_id}&size=1")["items"]
        if job["state"] == "COMPLETED":
            return job
        if job["state"] in {"FAILED", "CANCELLED"}:
            raise RuntimeError(f"the job is {job['state']}: {job.get('error')}\n{daemon.told()}")
        time.sleep(max(_POLL_SECONDS, waited / 100))
    raise RuntimeError(f"the job is {job['state']} after {_PATIENCE_SECONDS:g} seconds\n{daemon.told()}")


def completed_count(daemon: Daemon) -> int:
    """How many jobs are completed, of all there ever were."""
    return int(daemon.call("GET", "/jobs?state=COMPLETED&size=1")["totalItems"])


def cpu_seconds(daemon: Daemon) -> float:
    """What all its processes have used so far: torkd, PostgreSQL, tasks that have ended."""
    total = 0.0
    for process in daemon.processes():
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _took(daemon: Daemon, ended: Mapping[str, Any], seconds: float, used: float) -> Took:
    began, done = (datetime.fromisoformat(ended[key]) for key in ("startedAt", "completedAt"))
    return Took(seconds, (done - began).total_seconds(), cpu_seconds(daemon) - used)


def disk() -> Path:
    """Where a flush costs what it costs."""
    return Path(tempfile.gettempdir())


SETTINGS = {
    "TORK_WORKER_QUEUES_DEFAULT": str(SLOTS),
    "TORK_LOGGING_LEVEL": "warn",
    "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
}
