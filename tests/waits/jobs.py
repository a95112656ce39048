"""Jobs whose every line tells which run of which task printed it, so that a line that is missing, doubled or misplaced shows."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable
from enum import StrEnum
from typing import Any

Definition = dict[str, Any]

FAILING_CODE = 7
LINE = re.compile(r"(?:(?P<name>[^|]*) \| )?(?P<line>(?P<run>(?P<key>\S+) [0-9a-f-]{36}) \d+ .*)")
_RUN = f"""
token=$(cat /proc/sys/kernel/random/uuid)
i=0
while [ $i -lt $LINES ]; do
  i=$((i+1)); echo "$KEY $token $i grüße $PADDING"
  [ $((i % 4)) -ne 0 ] || sleep $PAUSE
done
case $END in
  fail) exit {FAILING_CODE} ;;
  hang) sleep 600 ;;
  open) printf %s "$KEY $token $((i+1)) without an end" ;;
esac
"""


class Ending(StrEnum):
    """How a job is made to end, if nobody cancels it too late."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


def a_job(name: str, kind: str, ending: Ending, chance: random.Random) -> Definition:
    """One of the kinds, whose last task decides how it ends."""
    return {"name": name, "tasks": KINDS[kind](_Leaves(ending, chance))}


class _Leaves:
    """Makes tasks that print for a second or two."""

    def __init__(self, ending: Ending, chance: random.Random) -> None:
        self._ending, self._chance = ending, chance

    def a_task(self, key: str) -> Definition:
        """One that ends well."""
        return self._task(key, self._chance.choice(["well", "well", "open"]))

    def the_last(self, key: str) -> Definition:
        """The one that decides."""
        ends = {Ending.COMPLETED: "well", Ending.FAILED: "fail", Ending.CANCELLED: "hang"}
        return self._task(key, ends[self._ending])

    def _task(self, key: str, end: str) -> Definition:
        env = {
            "KEY": key,
            "LINES": str(self._chance.randint(0, 40)),
            "PAUSE": f"{self._chance.uniform(0, 0.4):.3f}",
            "PADDING": "x" * int(10 ** self._chance.uniform(0, 2.5)),
            "END": end,
        }
        return {"name": key, "run": _RUN, "env": env}


def _one(leaves: _Leaves) -> list[Definition]:
    return [leaves.the_last("last")]


def _several(leaves: _Leaves) -> list[Definition]:
    return [leaves.a_task("first"), leaves.the_last("last")]


def _parallel(leaves: _Leaves) -> list[Definition]:
    children = [leaves.a_task("left"), leaves.a_task("right")]
    return [{"name": "all", "parallel": {"tasks": children}}, leaves.the_last("last")]


def _each(leaves: _Leaves) -> list[Definition]:
    each = {"list": "{{ 1..4 }}", "concurrency": 2, "task": leaves.a_task("item")}
    return [{"name": "all", "each": each}, leaves.the_last("last")]


def _subjob(leaves: _Leaves) -> list[Definition]:
    inner = {"name": "below", "tasks": [leaves.a_task("inner"), leaves.the_last("last")]}
    return [leaves.a_task("first"), {"name": "sub", "subjob": inner}]


def _nested(leaves: _Leaves) -> list[Definition]:
    inner = {"name": "below", "tasks": [leaves.a_task("inner")]}
    children = [leaves.a_task("beside"), {"name": "sub", "subjob": inner}]
    return [{"name": "all", "parallel": {"tasks": children}}, leaves.the_last("last")]


KINDS: dict[str, Callable[[_Leaves], list[Definition]]] = {
    "one task": _one,
    "several tasks": _several,
    "parallel": _parallel,
    "each": _each,
    "sub-job": _subjob,
    "sub-job in parallel": _nested,
}


IN_A_SUB_JOB = "sub-job"
"""The kind whose deciding task is not the job's own."""


def lines_by_run(text: str) -> tuple[dict[str, str], list[str]]:
    """What was shown of each run, without the names before its lines; and what no run of a task can have printed."""
    runs: dict[str, str] = defaultdict(str)
    strange = []
    for line in text.split("\n")[:-1]:
        match = LINE.fullmatch(line)
        if match is None or (match["name"] is not None and match["name"].rpartition("/")[2] != match["key"]):
            strange.append(line)
        else:
            runs[match["run"]] += match["line"] + "\n"
    return dict(runs), strange
