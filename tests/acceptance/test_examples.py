"""Every file of `examples/` runs as its comments claim; those that need containers are told so in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tork.definition import read_job_file

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(path for path in EXAMPLES.iterdir() if path.is_file())
NO_CONTAINERS = "containers are not supported by this version"

Job = dict[str, Any]


def needs_containers(path: Path) -> bool:
    return b"\n    image:" in path.read_bytes() or b" image:" in path.read_bytes()


SHELL = [path for path in FILES if not needs_containers(path)]
CONTAINERS = [path for path in FILES if needs_containers(path)]


def tasks_named(job: Job, name: str) -> list[Job]:
    return [task for task in job["execution"] if task.get("name") == name]


def states(job: Job) -> list[str]:
    """Of the tasks of the top level, in their order."""
    return [task["state"] for task in job["execution"] if not task.get("parentId")]


def has_cleared_its_place(job: Job) -> bool:
    return not list(Path("/tmp").glob(f"tork-example-*-{job['id']}"))


def at_most_two_at_once(job: Job) -> bool:
    visits = [task for task in job["execution"] if task.get("parentId")]
    moments = sorted(
        [(task["startedAt"], 1) for task in visits] + [(task["completedAt"], -1) for task in visits],
    )
    running, most = 0, 0
    for _, change in moments:
        running += change
        most = max(most, running)
    return len(visits) == 6 and most <= 2


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What an example says it shows."""

    result: str = ""
    lines: tuple[str, ...] = ()
    no_lines: tuple[str, ...] = ()
    states: list[str] | None = None
    holds: Callable[[Job], bool] = field(default=lambda job: True)


CLAIMS = {
    "hello": Claim(
        result="said hello 3 times",
        lines=("Hello, world!", "3: HELLO, WORLD!", "Said hello 3 times. All done, goodbye."),
        states=["COMPLETED"] * 3,
    ),
    "inputs-and-output": Claim(
        result="Reykjavik has 9 letters, and 5 more make 14", lines=("counting the letters of Reykjavik",)
    ),
    "conditions": Claim(
        lines=("large enough to be worth compressing", "done"),
        no_lines=("never reached", "telling somebody"),
        states=["COMPLETED", "COMPLETED", "SKIPPED", "SKIPPED", "COMPLETED"],
        holds=lambda job: len(job["execution"]) == 5,
    ),
    "defaults": Claim(
        lines=("left", "right"),
        holds=lambda job: (
            tasks_named(job, "as the others")[0]["priority"] == 3
            and tasks_named(job, "as the others")[0]["timeout"] == "1m"
            and tasks_named(job, "in a hurry")[0]["priority"] == 9
            and tasks_named(job, "in a hurry")[0]["retry"]["limit"] == 2
        ),
    ),
    "each": Claim(result="first Mercury, last Saturn", lines=("landing on mars",), holds=at_most_two_at_once),
    "each-nested": Claim(
        result="3 x 3 = 9", lines=("2 x 3 = 6",), holds=lambda job: len(tasks_named(job, "2 times 3")) == 1
    ),
    "files": Claim(result="apple", lines=("3 lines in fruit.txt", "apple", "pear", "quince"), no_lines=("apple pear",)),
    "parallel": Claim(lines=("counted to 1000", "slept"), holds=lambda job: job["result"].endswith(" 1000")),
    "pre-post": Claim(lines=("building 29 bytes of source",), holds=has_cleared_its_place),
    "progress": Claim(lines=("copied thing 1", "copied thing 10")),
    "retry": Claim(
        result="succeeded at attempt 3",
        lines=("attempt 1: the network is down", "attempt 3: it works"),
        holds=lambda job: (
            [task["state"] for task in tasks_named(job, "flaky")] == ["FAILED", "FAILED", "COMPLETED"]
            and has_cleared_its_place(job)
        ),
    ),
    "subjob": Claim(result="Happy birthday, Ada", lines=("on the cake it says: Happy birthday, Ada",)),
    "timeout": Claim(result="gave up", lines=("0.2 were enough", "gave up after 0.3 seconds")),
}


def test_every_example_is_in_one_of_the_tables() -> None:
    assert {path.stem for path in SHELL} == set(CLAIMS)
    assert all(path.suffix == ".yaml" for path in FILES)
    assert len(CONTAINERS) >= 3


@pytest.mark.parametrize("path", SHELL, ids=[path.stem for path in SHELL])
def test_an_example_does_what_it_claims(daemon: Daemon, path: Path) -> None:
    ended = daemon.torkctl("submit", "--wait", "-o", "json", str(path))
    assert ended.returncode == 0, ended.stderr
    job = json.loads(ended.stdout)
    assert job["state"] == "COMPLETED"
    claim = CLAIMS[path.stem]
    assert claim.result in job.get("result", "")
    if claim.states is not None:
        assert states(job) == claim.states
    assert claim.holds(job)
    log = daemon.torkctl("logs", job["id"]).stdout
    assert [line for line in claim.lines if line not in log] == []
    assert [line for line in claim.no_lines if line in log] == []


def test_the_subjobs_of_an_example_are_jobs_of_their_own_that_end_well(daemon: Daemon) -> None:
    ended = daemon.torkctl("submit", "--wait", "-o", "json", str(EXAMPLES / "subjob.yaml"))
    job = json.loads(ended.stdout)
    for task, name in (("bake a cake", "cake for Ada"), ("tidy up", "tidy up after Ada")):
        subjob = daemon.wait(tasks_named(job, task)[0]["subjob"]["id"])
        assert (subjob["name"], subjob["state"]) == (name, "COMPLETED")


@pytest.mark.parametrize("path", CONTAINERS, ids=[path.stem for path in CONTAINERS])
def test_an_example_with_containers_is_right_and_fails_with_the_reason(daemon: Daemon, path: Path) -> None:
    assert daemon.torkctl("validate", str(path)).returncode == 0
    ended = daemon.torkctl("submit", "--wait", str(path))
    assert ended.returncode == 1
    assert NO_CONTAINERS in ended.stderr
    assert len([line for line in ended.stderr.splitlines() if NO_CONTAINERS in line]) == 1


def test_the_division_into_shell_and_containers_is_that_of_the_definitions() -> None:
    for path in CONTAINERS:
        assert "image" in path.read_text(), path
    for path in SHELL:
        job = read_job_file(path)
        assert all(not task.image for task in job.tasks), path
