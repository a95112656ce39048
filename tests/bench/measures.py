"""The measurements, each a few rounds in which the figure and its reference take turns; medians of both are told."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.bench.daemons import SLOTS, Took, completed_count, cpu_seconds, noop_daemon, shell_daemon, time_job
from tests.bench.figures import Figure, over
from tests.bench.raw import RawPostgres, bash_ms
from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

STEPS = 40
MANY_STEPS = 400
ROUNDS = 4
FEW, MANY = 1_000, 20_000
MANY_ROUNDS = 2
JOBS = 500
CLIENTS = 8
EXPECTED_ROWS = 60_000
"""Raw rows a second that the target for `each` takes for granted; it shrinks with fewer."""

Job = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is measured, and what is expected of it."""

    title: str = ""
    """Before the name of each figure."""
    step_ms: float = 4
    """A step that does nothing takes at most this."""
    jobs_per_second: float = 0
    """At least so many; 0 for no target."""


STANDALONE = Setup()


def shell_steps() -> Iterator[Figure]:
    """A step of a sequential job of scripts, beside starting bash and nothing else."""
    jobs = {"prints nothing": steps(STEPS, "true"), "prints a line": steps(STEPS, "echo a line")}
    with shell_daemon() as daemon:
        took = {name: [time_job(daemon, job)] for name, job in jobs.items()}
        bare = []
        for _ in range(ROUNDS):
            bare.append(bash_ms(STEPS))
            for name, job in jobs.items():
                took[name].append(time_job(daemon, job, took[name]))
    for name, of_all in took.items():
        yield from _steps(f"shell, {name}", of_all[1:], STEPS, reference="bash -c true", bare=median(bare), at_most=5)


def noop_steps(daemon: Daemon, raw: RawPostgres, setup: Setup = STANDALONE) -> Iterator[Figure]:
    """A step when the task itself costs nothing, and that it costs the same in a long job."""
    few, many = [time_job(daemon, steps(STEPS, "nothing"))], list[Took]()
    commits = []
    for _ in range(ROUNDS):
        commits.append(1000 / raw.commits_per_second(100))
        few.append(time_job(daemon, steps(STEPS, "nothing"), few))
        many.append(time_job(daemon, steps(MANY_STEPS, "nothing"), many))
    del few[0]
    yield from _steps(f"{setup.title}no-op", few, STEPS, reference="nothing", bare=0.0, at_most=setup.step_ms)
    step, reference = _engine_ms(many, MANY_STEPS), _engine_ms(few, STEPS)
    yield Figure(
        name=f"a step, {setup.title}no-op, job of {MANY_STEPS}",
        measured=step,
        unit="ms",
        reference=f"job of {STEPS}",
        reference_measured=reference,
        result=step / reference,
        result_unit="x",
        target="<= 1.2",
        met=step / reference <= 1.2,
        cpu_ms=_cpu_ms(many, MANY_STEPS),
    )
    yield Figure(
        name=f"a step, {setup.title}no-op, job of {MANY_STEPS}",
        measured=step,
        unit="ms",
        reference="one raw commit",
        reference_measured=median(commits),
        result=step / median(commits),
        result_unit="x",
    )


def fan_out(daemon: Daemon, raw: RawPostgres, setup: Setup = STANDALONE) -> Iterator[Figure]:
    """Tasks of an `each` a second, and that they cost the same however many there are."""
    few, many = [time_job(daemon, each(FEW))], list[Took]()
    rows = []
    for _ in range(MANY_ROUNDS):
        rows.append(raw.rows_per_second())
        few.append(time_job(daemon, each(FEW), few))
        many.append(time_job(daemon, each(MANY), many))
        rows.append(raw.rows_per_second())
        few.append(time_job(daemon, each(FEW), few))
    del few[0]
    rate, few_rate = (count / median(took.seconds for took in rounds) for count, rounds in ((MANY, many), (FEW, few)))
    expected = 1_000 * min(median(rows) / EXPECTED_ROWS, 1.0)
    for count, measured, rounds in ((FEW, few_rate, few), (MANY, rate, many)):
        yield Figure(
            name=f"{setup.title}each over {count:,}, {SLOTS} slots",
            measured=measured,
            unit="tasks/s",
            reference="raw inserts",
            reference_measured=median(rows),
            reference_unit="rows/s",
            result=measured / median(rows) * EXPECTED_ROWS,
            result_unit=f"tasks/s at {EXPECTED_ROWS:,}",
            target=f">= 1000, here {expected:,.0f}",
            met=measured >= expected,
            cpu_ms=_cpu_ms(rounds, count),
        )
    cost = _cpu_ms(many, MANY) / _cpu_ms(few, FEW)
    yield Figure(
        name=f"{setup.title}a task of {MANY:,}",
        measured=1000 / rate,
        unit="ms",
        reference=f"a task of {FEW:,}",
        reference_measured=1000 / few_rate,
        result=few_rate / rate,
        result_unit=f"x (CPU {cost:.2f})",
        target="<= 1.3",
        met=few_rate / rate <= 1.3,
    )


def many_jobs(daemon: Daemon, raw: RawPostgres, setup: Setup = STANDALONE) -> Iterator[Figure]:
    """Short jobs from several clients at once."""
    commits, rows, took = [], [], []
    _time_jobs(daemon)
    for _ in range(ROUNDS):
        commits.append(raw.commits_per_second(200))
        rows.append(raw.rows_per_second())
        took.append(_time_jobs(daemon))
    rate = JOBS / median(each_took.seconds for each_took in took)
    expected = setup.jobs_per_second * min(median(rows) / EXPECTED_ROWS, 1.0)
    yield Figure(
        name=f"{setup.title}jobs of 2 tasks, {CLIENTS} clients",
        measured=rate,
        unit="jobs/s",
        reference="raw commits",
        reference_measured=median(commits),
        reference_unit="/s",
        result=rate / median(commits),
        result_unit="x",
        target=f">= {setup.jobs_per_second:g}, here {expected:,.0f}" if expected else "",
        met=rate >= expected if expected else None,
        cpu_ms=_cpu_ms(took, JOBS),
    )


def postgres(raw: RawPostgres) -> Iterator[Figure]:
    """What the same PostgreSQL does on the same disk with nothing in between."""
    commits = median(raw.commits_per_second() for _ in range(ROUNDS))
    yield Figure(name="PostgreSQL alone, one row a commit", measured=commits, unit="commits/s")
    yield Figure(name="PostgreSQL alone, 100 rows a commit", measured=_rows(raw), unit="rows/s")


@contextmanager
def idle_engine() -> Iterator[tuple[Daemon, RawPostgres]]:
    """A daemon whose tasks do nothing, and PostgreSQL on the same disk."""
    with RawPostgres() as raw, noop_daemon() as daemon:
        yield daemon, raw


ENGINE: tuple[Callable[[Daemon, RawPostgres], Iterator[Figure]], ...] = (noop_steps, fan_out, many_jobs)


def steps(count: int, script: str) -> Job:
    """A job of so many tasks, one after the other."""
    return {"name": f"{count} steps", "tasks": [{"name": f"step {n}", "run": script} for n in range(count)]}


def each(count: int) -> Job:
    """A job of one `each` over so many items."""
    task = {"name": "item {{ item.index }}", "run": "nothing"}
    return {
        "name": f"each over {count}",
        "tasks": [{"name": "all", "each": {"list": f"{{{{ sequence(0, {count}) }}}}", "task": task}}],
    }


def _steps(kind: str, took: list[Took], count: int, *, reference: str, bare: float, at_most: float) -> Iterator[Figure]:
    times = {
        "startedAt to completedAt": _engine_ms(took, count),
        "POST to COMPLETED": median(each_took.seconds for each_took in took) / count * 1000,
    }
    for what, measured in times.items():
        yield over(
            f"a step, {kind}: {what}",
            measured,
            "ms",
            reference=reference,
            bare=bare,
            at_most=at_most,
            cpu_ms=_cpu_ms(took, count),
        )


def _engine_ms(took: list[Took], count: int) -> float:
    return median(each_took.engine_seconds for each_took in took) / count * 1000


def _cpu_ms(took: list[Took], count: int) -> float:
    return median(each_took.cpu_seconds for each_took in took) / count * 1000


def _rows(raw: RawPostgres) -> float:
    return median(raw.rows_per_second() for _ in range(ROUNDS))


def _time_jobs(daemon: Daemon) -> Took:
    job = steps(2, "nothing")
    used, wanted = cpu_seconds(daemon), completed_count(daemon) + JOBS
    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda share: _submit(daemon, job, share), _shares(JOBS, CLIENTS)))
    wait_until(lambda: completed_count(daemon) >= wanted, timeout=60, describe=daemon.told)
    seconds = time.perf_counter() - started
    return Took(seconds, seconds, cpu_seconds(daemon) - used)


def _shares(count: int, among: int) -> list[int]:
    return [count // among + (1 if number < count % among else 0) for number in range(among)]


def _submit(daemon: Daemon, job: Job, count: int) -> None:
    """So many over one connection, as a client that has many does: what a client costs is not what is measured."""
    body = json.dumps(job)
    connection = http.client.HTTPConnection(daemon.endpoint.removeprefix("http://"), timeout=60)
    try:
        for _ in range(count):
            connection.request("POST", "/jobs", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != http.HTTPStatus.OK:
                raise RuntimeError(f"a job is refused: {answer.status} {text.decode(errors='replace')}")
    finally:
        connection.close()
