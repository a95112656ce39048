"""One command line that waits, and whether what it said is what the database says."""

from __future__ import annotations

import http.client
import json
import random
import re
import subprocess
import sys
import threading
import time
import urllib.error
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from tests.support.daemon import Daemon
from tests.waits.jobs import FAILING_CODE, IN_A_SUB_JOB, KINDS, Ending, a_job, lines_by_run

PATIENCE = "10m"
LONGEST_RUN_SECONDS = 240.0
"""After which a command does not end any more."""
_CODES = {"COMPLETED": 0, "FAILED": 1, "CANCELLED": 3}
_WORST_FIRST = (1, 3, 0)
_RETRY_SECONDS = 0.2
_LONGEST_BEFORE_CANCEL_SECONDS = 3.0

COMMANDS = {
    "submit --follow": 4,
    "submit --wait": 2,
    "submit --exit-code-from": 1,
    "wait": 2,
    "wait for three": 1,
    "logs -f": 2,
    "logs -f -o jsonl": 2,
}
"""How often each is drawn."""
_SUBMITS = ("submit --follow", "submit --wait", "submit --exit-code-from")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where runs take place."""

    directory: Path
    endpoint: str
    """Of the proxy, for the command line; what else has to be done is asked of the daemons themselves."""
    coordinators: Sequence[Daemon]
    dsn: str


@dataclass(kw_only=True)
class Run:
    """One command line, and what came of it."""

    number: int
    command: str
    kind: str
    ending: Ending
    job_ids: list[str] = field(default_factory=list)
    """The jobs that it waits for."""
    code: int | None = None
    out: bytes = b""
    err: str = ""
    states_at_its_end: list[str] = field(default_factory=list)
    cut_short: int = 0
    """How many logs of cancelled tasks have lines that came after the end of the job was told."""
    seconds: float = 0.0

    @property
    def title(self) -> str:
        """For people."""
        return f"run {self.number}, {self.command}, {self.kind}, {self.ending.value.lower()}"

    @property
    def shows_logs(self) -> bool:
        """Whether its stdout is the log."""
        return self.command.startswith("logs") or self.command == "submit --follow"


def drawn(number: int, chance: random.Random) -> Run:
    """A run by chance."""
    command = chance.choices(list(COMMANDS), list(COMMANDS.values()))[0]
    kinds = [kind for kind in KINDS if command != "submit --exit-code-from" or kind != IN_A_SUB_JOB]
    kind, ending = chance.choice(kinds), chance.choice(list(Ending))
    return Run(number=number, command=command, kind=kind, ending=ending)


def carry_out(run: Run, place: Place, chance: random.Random) -> None:
    """Have torkctl do it, and look at the database when it has ended."""
    started = time.monotonic()
    over = threading.Event()
    names = [f"job {run.number} {letter}" for letter in ("abc" if run.command == "wait for three" else "a")]
    endings = [run.ending, *(chance.choice(list(Ending)) for _ in names[1:])]
    jobs = [
        a_job(name, run.kind, ending, random.Random(chance.random()))
        for name, ending in zip(names, endings, strict=True)
    ]
    if run.command in _SUBMITS:
        file = place.directory / f"job-{run.number}.json"
        file.write_text(json.dumps(jobs[0]))
        arguments = [*run.command.split(), *(["last"] if "exit" in run.command else []), str(file)]
    else:
        run.job_ids = [_submitted(place, job, f"key {name}") for job, name in zip(jobs, names, strict=True)]
        arguments = [*run.command.removesuffix(" for three").split(), *run.job_ids]
    cancelling = [
        threading.Thread(target=_cancel, args=(place, name, over, chance.uniform(0, _LONGEST_BEFORE_CANCEL_SECONDS)))
        for name, ending in zip(names, endings, strict=True)
        if ending is Ending.CANCELLED
    ]
    for thread in cancelling:
        thread.start()
    try:
        _run_torkctl(run, place, arguments)
        run.job_ids = run.job_ids or [row[0] for row in rows(place.dsn, "SELECT id FROM jobs WHERE name = %s", names)]
        run.states_at_its_end = _states(place, run.job_ids)
    finally:
        over.set()
        for thread in cancelling:
            thread.join()
    run.seconds = time.monotonic() - started


def _run_torkctl(run: Run, place: Place, arguments: Sequence[str]) -> None:
    environment = {
        **{name: place.coordinators[0].environment[name] for name in ("PATH", "LANG")},
        "HOME": str(place.directory),
        "TORK_CLIENT_ENDPOINT": place.endpoint,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "torkctl", "--retry-for", PATIENCE, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LONGEST_RUN_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as stuck:
        run.out, run.err = stuck.stdout or b"", (stuck.stderr or b"").decode(errors="replace")
        return
    run.code, run.out, run.err = done.returncode, done.stdout, done.stderr.decode(errors="replace")


def faults_of(run: Run, place: Place) -> list[str]:
    """What it did not tell as it is, once all is quiet."""
    found = [*_faults_of_ending(run, place), *(_faults_of_log(run, place) if run.shows_logs else ())]
    told = f"\n    its stderr ends with: {run.err[-1500:]}" if found else ""
    return [f"{run.title}: {fault}{told}" for fault in found]


def _faults_of_ending(run: Run, place: Place) -> list[str]:
    if run.code is None:
        return [f"it has not ended after {LONGEST_RUN_SECONDS:g} s"]
    wanted = 3 if run.command == "wait for three" else 1
    if len(set(run.job_ids)) != wanted:
        return [f"{len(run.job_ids)} jobs were submitted, not {wanted} (exit code {run.code})"]
    states = _states(place, run.job_ids)
    if set(run.states_at_its_end) - set(_CODES):
        return [f"it ended with {run.code} when its jobs were {run.states_at_its_end}"]
    if states != run.states_at_its_end:
        return [f"its jobs were {run.states_at_its_end} when it ended, and are {states} now"]
    if run.code != (right := _right_code(run, place, states)):
        return [f"its exit code is {run.code} and not {right}: the jobs are {states}"]
    return []


def _right_code(run: Run, place: Place, states: Sequence[str]) -> int:
    if run.command.startswith("logs"):
        return 0
    codes = {_CODES[state] for state in states}
    code = next(code for code in _WORST_FIRST if code in codes)
    if code == 1 and run.command == "submit --exit-code-from":
        return FAILING_CODE
    return code


def _faults_of_log(run: Run, place: Place) -> list[str]:
    if run.command.endswith("jsonl"):
        shown, strange = _documents_by_run(run.out), list[str]()
        stored = _stored(place, run.job_ids)
    else:
        shown, strange = lines_by_run(run.out.decode())
        stored = {_first_words(log.text): log.with_last_line_ended() for log in _stored(place, run.job_ids).values()}
    wrong = [f"nobody printed {line!r}" for line in strange]
    for key in {**shown, **stored}:
        seen, log = shown.get(key, ""), stored.get(key, _Log())
        if log.is_of_cancelled_task and seen != log.text and log.text.startswith(seen):
            run.cut_short += 1  # nobody waits for what a task prints while it is being stopped
        elif seen != log.text:
            wrong.append(f"of {key} it has shown {_outline(seen)}; stored is {_outline(log.text)}")
    return wrong


def _outline(text: str) -> str:
    """Which lines there are, by their numbers."""
    numbers = re.findall(r"^\S+ \S+ (\d+) ", text, re.MULTILINE)
    return f"{len(text)} characters, lines {' '.join(numbers)}"


@dataclass(kw_only=True)
class _Log:
    """What is stored of one run of a task."""

    text: str = ""
    is_of_cancelled_task: bool = False

    def with_last_line_ended(self) -> _Log:
        """As torkctl shows it."""
        return self if self.text.endswith("\n") else replace(self, text=self.text + "\n")


def _first_words(text: str) -> str:
    """Which run of which task it is of, as every line of it says."""
    return " ".join(text.split(" ", 2)[:2])


def _documents_by_run(out: bytes) -> dict[str, str]:
    runs: dict[str, str] = defaultdict(str)
    for line in out.splitlines():
        part = json.loads(line)
        runs[f"{part['taskId']} {part['run']}"] += part["contents"]
    return dict(runs)


def _stored(place: Place, job_ids: Sequence[str]) -> dict[str, _Log]:
    """Of the jobs and of those below them."""
    runs: dict[str, _Log] = defaultdict(_Log)
    for task_id, run_id, contents, state in rows(place.dsn, _LOG, [job_ids]):
        log = runs[f"{task_id} {run_id}"]
        log.text += contents
        log.is_of_cancelled_task = state == "CANCELLED"
    return dict(runs)


_LOG = """
SELECT p.task_id, p.run_id, p.contents, t.state FROM task_log_parts p JOIN tasks t ON t.id = p.task_id
WHERE p.job_id IN (SELECT id FROM jobs WHERE root_id = ANY(%s)) ORDER BY p.task_id, p.dispatch, p.run_id, p.number
"""
_STATES = "SELECT id, state FROM jobs WHERE id = ANY(%s)"


def _states(place: Place, job_ids: Sequence[str]) -> list[str]:
    known = dict(rows(place.dsn, _STATES, [list(job_ids)]))
    return [known.get(job_id, "gone") for job_id in job_ids]


def rows(dsn: str, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What the database says, as soon as it says anything."""
    while True:
        try:
            with psycopg.connect(dsn, autocommit=True, connect_timeout=5) as connection:
                return connection.execute(query.encode(), values).fetchall()
        except psycopg.OperationalError:
            time.sleep(_RETRY_SECONDS)


def _submitted(place: Place, job: Mapping[str, Any], key: str) -> str:
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    return str(_insist(place, "POST", "/jobs", json.dumps(job).encode(), headers)["id"])


def _cancel(place: Place, name: str, over: threading.Event, after_seconds: float) -> None:
    """Cancel the job of that name some time after it is there; it may have ended then."""
    found: list[tuple[Any, ...]] = []
    while not found and not over.wait(_RETRY_SECONDS):
        found = rows(place.dsn, "SELECT id FROM jobs WHERE name = %s", [name])
    over.wait(after_seconds)
    for (job_id,) in found:
        _insist(place, "PUT", f"/jobs/{job_id}/cancel")


def _insist(
    place: Place, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Any:
    """The answer of whichever coordinator gives one; None when it is no."""
    while True:
        for daemon in random.sample(list(place.coordinators), len(place.coordinators)):
            try:
                return daemon.call(method, path, body, headers)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code < 500:
                    return None
            except (OSError, http.client.HTTPException, ValueError):
                continue
        time.sleep(_RETRY_SECONDS)
