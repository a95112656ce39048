"""Jobs of every kind, each with a replay of its own that says how it has to end, whatever happened meanwhile.

Every run of a task draws a token, notes it in the job's journal, and gives it as its result. Tokens are what tells one run
from another: the result that is stored, the one that later tasks were given and the one in the job's output must be the
same run's, and that run must have happened. So a result that counted twice, or came from a run that was refused, shows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Job = Mapping[str, Any]
Definition = dict[str, Any]

ITEMS = 9
BRANCHES = 4
_PARALLEL, _EACH = [f"p{n}" for n in range(BRANCHES)], [f"e{n}" for n in range(ITEMS)]
TRIES = 3
"""Of the task that always fails: one, and two retries."""
LINES = 20

_LINE = re.compile(r"\w+ [0-9a-f-]{36} \d+")
_RUN = """
token=$(cat /proc/sys/kernel/random/uuid)
echo "$KEY $token" >> "$JOURNAL"
i=0; while [ $i -lt $LINES ]; do i=$((i+1)); echo "$KEY $token $i"; done
sleep $PAUSE
printf %s "$token" > "$TORK_OUTPUT"
"""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What is drawn for one job."""

    number: int
    journal: Path
    """Where its runs note themselves; one file a job."""
    pause: Callable[[], float]
    """How long the next task takes, in seconds."""
    queue: Callable[[], str]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of job: how it is made, and what is wrong with how one has ended (nothing, if all is well)."""

    name: str
    make: Callable[[Chosen], Definition]
    faults: Callable[[Job, Journal], Iterator[str]]
    is_cancelled: bool = False
    """Whether somebody cancels it meanwhile."""


class Journal:
    """What the runs of one job have noted."""

    def __init__(self, path: Path) -> None:
        try:
            lines = path.read_text().splitlines()
        except FileNotFoundError:
            lines = []
        self._runs = [tuple(line.split(" ", 1)) for line in lines]

    def has(self, key: str, token: str) -> bool:
        """Whether a run of this task drew this token."""
        return (key, token) in self._runs


def a_task(chosen: Chosen, key: str, **more: Any) -> Definition:
    """A task that draws a token and takes a moment."""
    env = {"KEY": key, "JOURNAL": str(chosen.journal), "PAUSE": f"{chosen.pause():.3f}", "LINES": str(LINES)}
    return {"name": key, "queue": chosen.queue(), "run": _RUN, "env": {**env, **more.pop("env", {})}, **more}


def passing_on(chosen: Chosen, key: str, text: str, **more: Any) -> Definition:
    """A task whose result is this text, evaluated."""
    return {
        "name": key,
        "queue": chosen.queue(),
        "env": {"TEXT": text},
        "run": 'printf %s "$TEXT" > "$TORK_OUTPUT"',
        **more,
    }


def _sequence(chosen: Chosen) -> Definition:
    return {
        "tasks": [
            a_task(chosen, "a", var="a"),
            passing_on(chosen, "b", "{{ tasks.a }}", var="b"),
            a_task(chosen, "c", var="c"),
        ],
        "output": "{{ tasks.a }} {{ tasks.b }} {{ tasks.c }}",
    }


def _sequence_faults(job: Job, journal: Journal) -> Iterator[str]:
    yield from _ended(job, "COMPLETED")
    yield from _rows(job, {("a", "COMPLETED"): 1, ("b", "COMPLETED"): 1, ("c", "COMPLETED"): 1})
    a, b, c = [*str(job.get("result", "")).split(" "), "", "", ""][:3]
    if a != b:
        yield f"the second task was given {b}, but the first one's result is {a}"
    yield from _real(job, journal, {"a": a, "c": c})


def _parallel(chosen: Chosen) -> Definition:
    tasks = [a_task(chosen, key, var=key) for key in _PARALLEL]
    return _gathering(chosen, {"name": "all", "parallel": {"tasks": tasks}}, _PARALLEL)


def _each(chosen: Chosen) -> Definition:
    task = a_task(chosen, "e", var="e{{ item.index }}")
    task["name"] = task["env"]["KEY"] = "e{{ item.index }}"
    each = {"list": f"{{{{ 1..{ITEMS} }}}}", "concurrency": 3, "task": task}
    return _gathering(chosen, {"name": "all", "each": each}, _EACH)


def _gathering(chosen: Chosen, composite: Definition, keys: Sequence[str]) -> Definition:
    """The results of all children are the job's."""
    results = " ".join(f"{{{{ tasks.{key} }}}}" for key in keys)
    return {"tasks": [composite, passing_on(chosen, "gather", results, var="all")], "output": "{{ tasks.all }}"}


def _gathered_faults(keys: Sequence[str]) -> Callable[[Job, Journal], Iterator[str]]:
    def faults(job: Job, journal: Journal) -> Iterator[str]:
        yield from _ended(job, "COMPLETED")
        yield from _rows(job, {(key, "COMPLETED"): 1 for key in ["all", "gather", *keys]})
        tokens = str(job.get("result", "")).split(" ")
        if len(tokens) != len(keys):
            yield f"its result is {job.get('result')!r}, not one token for each of {len(keys)} children"
        yield from _real(job, journal, dict(zip(keys, tokens, strict=False)))

    return faults


def _subjob(chosen: Chosen) -> Definition:
    inner = {
        "name": f"within {chosen.number}",
        "tasks": [a_task(chosen, "s", var="s"), passing_on(chosen, "t", "{{ tasks.s }}", var="t")],
        "output": "{{ tasks.t }}",
    }
    return {"tasks": [{"name": "sub", "subjob": inner, "var": "sub"}], "output": "{{ tasks.sub }}"}


def _subjob_faults(job: Job, journal: Journal) -> Iterator[str]:
    yield from _ended(job, "COMPLETED")
    yield from _rows(job, {("sub", "COMPLETED"): 1})
    yield from _real(job, journal, {"s": str(job.get("result", ""))})


def _failing(chosen: Chosen) -> Definition:
    retry = {"limit": TRIES - 1, "initialDelay": "100ms", "scalingFactor": 1}
    return {"tasks": [a_task(chosen, "ok"), {"name": "bad", "queue": chosen.queue(), "run": "exit 3", "retry": retry}]}


def _failing_faults(job: Job, journal: Journal) -> Iterator[str]:
    yield from _ended(job, "FAILED")
    yield from _rows(job, {("ok", "COMPLETED"): 1, ("bad", "FAILED"): TRIES})
    if "exit code 3" not in str(job.get("error", "")):
        yield f"its error is {job.get('error')!r}"


def _retried(chosen: Chosen) -> Definition:
    task = a_task(chosen, "r", var="r", retry={"limit": 2, "initialDelay": "100ms", "scalingFactor": 1})
    # The mark outlives a run that is lost before its failure counts; then the next run is the same attempt.
    task["run"] = 'if [ ! -e "$JOURNAL.mark" ]; then : > "$JOURNAL.mark"; exit 1; fi\n' + _RUN
    return {"tasks": [task], "output": "{{ tasks.r }}"}


def _retried_faults(job: Job, journal: Journal) -> Iterator[str]:
    yield from _ended(job, "COMPLETED")
    tasks = _found(job)
    if tasks["r", "COMPLETED"] != 1 or tasks["r", "FAILED"] > 1 or len(tasks) > 2:
        yield f"its tasks are {dict(tasks)}"
    yield from _real(job, journal, {"r": str(job.get("result", ""))})


def _slow(chosen: Chosen) -> Definition:
    return {"tasks": [{"name": "slow", "queue": chosen.queue(), "run": "sleep 600"}, a_task(chosen, "never")]}


def _slow_faults(job: Job, journal: Journal) -> Iterator[str]:
    yield from _ended(job, "CANCELLED")
    yield from _rows(job, {("slow", "CANCELLED"): 1})


def _late(chosen: Chosen) -> Definition:
    return {"tasks": [{"name": "late", "queue": chosen.queue(), "run": "sleep 600", "timeout": "700ms"}]}


def _late_faults(job: Job, journal: Journal) -> Iterator[str]:
    yield from _ended(job, "FAILED")
    yield from _rows(job, {("late", "FAILED"): 1})
    if "timed out" not in str(job.get("error", "")):
        yield f"its error is {job.get('error')!r}"


KINDS = (
    Kind(name="sequence", make=_sequence, faults=_sequence_faults),
    Kind(name="parallel", make=_parallel, faults=_gathered_faults(_PARALLEL)),
    Kind(name="each", make=_each, faults=_gathered_faults(_EACH)),
    Kind(name="subjob", make=_subjob, faults=_subjob_faults),
    Kind(name="failing", make=_failing, faults=_failing_faults),
    Kind(name="retried", make=_retried, faults=_retried_faults),
    Kind(name="cancelled", make=_slow, faults=_slow_faults, is_cancelled=True),
    Kind(name="late", make=_late, faults=_late_faults),
)


def doubled_lines(log: str) -> Iterator[str]:
    """Lines that are stored more than once: no run prints the same one twice. Some may be missing, since brokers are wiped."""
    counts = Counter(line for line in log.splitlines() if _LINE.fullmatch(line))
    yield from (f"{count} times in its log: {line}" for line, count in counts.items() if count > 1)


def _ended(job: Job, state: str) -> Iterator[str]:
    if job["state"] != state:
        yield f"it is {job['state']} and not {state}: {job.get('error', '')}"


def _found(job: Job) -> Counter[tuple[str, str]]:
    return Counter((task["name"], task["state"]) for task in job["execution"])


def _rows(job: Job, wanted: Mapping[tuple[str, str], int]) -> Iterator[str]:
    if _found(job) != Counter(wanted):
        yield f"its tasks are {dict(_found(job))}"


def _real(job: Job, journal: Journal, tokens: Mapping[str, str]) -> Iterator[str]:
    """Whether each is the token of a run of that task, and where it is shown the task's own result."""
    for key, token in tokens.items():
        if not journal.has(key, token):
            yield f"the result of {key} is {token!r}, which no run of it drew"
    for task in job["execution"]:
        given = tokens.get(task["name"])
        if given is not None and task["state"] == "COMPLETED" and task.get("result") != given:
            yield f"{task['name']} has the result {task.get('result')!r}, and others were given {given!r}"
