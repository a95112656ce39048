"""Every file of `examples/` runs as its comments claim: in the shell, or in containers of Docker and of Podman, with stand-ins."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.engines import ContainerEngine
from tests.support.example_surroundings import FILM, Surroundings
from tests.support.registry import Registry
from tork.definition import read_job_file

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(path for path in EXAMPLES.iterdir() if path.is_file())

Job = dict[str, Any]


def needs_containers(path: Path) -> bool:
    return b"\n    image:" in path.read_bytes() or b" image:" in path.read_bytes()


SHELL = [path for path in FILES if not needs_containers(path) and path.stem not in {"nightly", "keep-going"}]
CONTAINERS = [path for path in FILES if needs_containers(path)]


def tasks_named(job: Job, name: str) -> list[Job]:
    return [task for task in job["execution"] if task.get("name") == name]


def done(task: Job) -> bool:
    return bool(task["state"] == "COMPLETED")


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

    def check(self, job: Job, log: str) -> None:
        assert self.result in job.get("result", "")
        if self.states is not None:
            assert states(job) == self.states
        assert self.holds(job)
        assert [line for line in self.lines if line not in log] == []
        assert [line for line in self.no_lines if line in log] == []


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
    "webhooks": Claim(
        result="3 lines",
        lines=("the second webhook is told", "fetched"),
        holds=lambda job: (
            [task["state"] for task in tasks_named(job, "fetch")] == ["FAILED", "COMPLETED"]
            and has_cleared_its_place(job)
        ),
    ),
    "timeout": Claim(result="gave up", lines=("0.2 were enough", "gave up after 0.3 seconds")),
}


CONTAINER_CLAIMS = {
    "hello-container": Claim(result="said hello in alpine", lines=("Hello, world! This is Alpine Linux v3.21.",)),
    "container-commands": Claim(
        result="55",
        lines=(
            "a script, in /tork/entrypoint",
            "git version 2.47.2",
            "two words",
            "and $HOME",
            "the sum is 55",
            "in /srv/fruit, the first is apple",
        ),
    ),
    "mounts": Claim(result="16 MiB of scratch space", lines=("apple comes first; 0 files in /scratch",)),
    "limits": Claim(result=f"{32 * 2**20} and {64 * 2**20} bytes", lines=(f"I may use {32 * 2**20} bytes",)),
    "sidecar": Claim(result="Welcome to nginx!", lines=("ready for start up", "got 99 bytes", "response:200")),
    "networks": Claim(result="forty-two", lines=("waiting for a question", "the answer is forty-two")),
    "share-data-s3": Claim(
        result="the numbers add up to 55",
        lines=("Bucket created", "21 bytes -> ", "Removed"),
        holds=lambda job: job["secrets"] == {"password": "[REDACTED]"},
    ),
    "ci": Claim(
        result="0 failed, 1 passed",
        lines=("0 failed, 1 passed", "1 wheel built, a report of 36 bytes"),
        holds=lambda job: len(job["execution"]) == 1,
    ),
    "resize-images": Claim(
        result="the first picture, small: 2x1",
        lines=("made 2x1", "made 4x2", "made 8x4"),
        # A download that failed is tried again: other tests may be restarting an engine, and with it the machine's network.
        holds=lambda job: len([task for task in job["execution"] if task.get("image") and done(task)]) == 6,
    ),
    "split-and-stitch": Claim(result=f"result.mp4, {len(FILM)} bytes", states=["COMPLETED"] * 3),
}
"""Of those that need nothing but an engine and what is around them; the others have tests of their own."""
OWN_TESTS = {"registry", "gpus"}


def arguments(example: str, around: Surroundings) -> Sequence[str]:
    """How the example is submitted here: what it takes from the world comes from its surroundings."""
    inputs: dict[str, dict[str, str]] = {
        "ci": {"repository": around.web},
        "resize-images": {"images": json.dumps([f"{around.web}/cat.jpg"] * 2), "widths": "[2, 4, 8]"},
        "split-and-stitch": {"film": f"{around.web}/film.mp4", "seconds": "2"},
    }
    return [word for name, value in inputs.get(example, {}).items() for word in ("--input", f"{name}={value}")]


@pytest.fixture(scope="module")
def around(stand_ins: ContainerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    with Surroundings(stand_ins.api, tmp_path_factory.mktemp("surroundings")) as there:
        yield there


@pytest.fixture(scope="module")
def container_daemon(stand_ins: ContainerEngine, around: Surroundings) -> Iterator[Daemon]:
    """Standalone, on one engine after the other."""
    settings = {
        **stand_ins.settings,
        "TORK_WORKER_QUEUES_DEFAULT": "4",
        "TORK_WORKER_QUEUES_GPU": "1",
        "TORK_MOUNTS_BIND_ALLOWED": "true",
        "TORK_MOUNTS_BIND_SOURCES": str(around.films),
    }
    with Daemon(settings) as running:
        yield running


def what_is_left(daemon: Daemon, engine: ContainerEngine) -> list[str]:
    """On the engine and in the directories of runs, of all that this daemon has run."""
    nodes = [node["id"] for node in daemon.call("GET", "/nodes")]
    assert nodes
    on_engine = [name for node in nodes for name in engine.api.left_with(f"torkd.node={node}")]
    return on_engine + [str(path) for node in nodes for path in daemon.base.glob(f"tmp/torkd-runs/{node}/*")]


def submitted(daemon: Daemon, path: Path, *more: str) -> tuple[int, Job, str]:
    """The exit code, the job and its log."""
    ended = daemon.torkctl("submit", "--wait", "-o", "json", *more, str(path))
    job = json.loads(ended.stdout or "{}")
    assert job, ended.stderr
    return ended.returncode, job, daemon.torkctl("logs", job["id"]).stdout


def test_every_example_is_in_one_of_the_tables() -> None:
    assert {path.stem for path in SHELL} == set(CLAIMS)
    assert {path.stem for path in CONTAINERS} == set(CONTAINER_CLAIMS) | OWN_TESTS
    assert all(path.suffix == ".yaml" for path in FILES)


@pytest.mark.parametrize("path", SHELL, ids=[path.stem for path in SHELL])
def test_an_example_does_what_it_claims(daemon: Daemon, path: Path) -> None:
    code, job, log = submitted(daemon, path)
    assert (code, job["state"]) == (0, "COMPLETED")
    CLAIMS[path.stem].check(job, log)


def test_the_example_of_a_schedule_goes_to_the_scheduler_and_its_job_does_what_it_claims(daemon: Daemon) -> None:
    ended = daemon.torkctl("submit", "-o", "json", str(EXAMPLES / "nightly.yaml"))
    scheduled = json.loads(ended.stdout)
    assert (ended.returncode, scheduled["state"]) == (0, "ACTIVE")
    job = daemon.wait(daemon.call("PUT", f"/scheduled-jobs/{scheduled['id']}/run")["id"])
    assert (job["state"], job["result"]) == ("COMPLETED", "42 orders")
    assert "42 orders in 1 day(s)" in daemon.log_text(job["id"])
    assert daemon.call("DELETE", f"/scheduled-jobs/{scheduled['id']}") == {"status": "OK"}


def test_the_example_that_keeps_going_fails_at_its_end_and_names_what_failed(daemon: Daemon) -> None:
    code, job, log = submitted(daemon, EXAMPLES / "keep-going.yaml")
    assert (code, job["state"], states(job)) == (1, "FAILED", ["FAILED"])
    assert job["error"].startswith("3 of 20 have failed:\nitem 4 (fetch 4): exit code 1: ")
    assert log.count("the mirror has no file") == 3
    ended = Counter(task["state"] for task in job["execution"] if task.get("parentId"))
    assert ended == {"COMPLETED": 17, "FAILED": 3}
    for left in Path("/tmp").glob(f"tork-example-*-{job['id']}.*"):
        left.rmdir()


def test_the_subjobs_of_an_example_are_jobs_of_their_own_that_end_well(daemon: Daemon) -> None:
    ended = daemon.torkctl("submit", "--wait", "-o", "json", str(EXAMPLES / "subjob.yaml"))
    job = json.loads(ended.stdout)
    for task, name in (("bake a cake", "cake for Ada"), ("tidy up", "tidy up after Ada")):
        subjob = daemon.wait(tasks_named(job, task)[0]["subjob"]["id"])
        assert (subjob["name"], subjob["state"]) == (name, "COMPLETED")


@pytest.mark.parametrize("example", CONTAINER_CLAIMS)
def test_an_example_with_containers_does_what_it_claims_and_leaves_nothing(
    container_daemon: Daemon, stand_ins: ContainerEngine, around: Surroundings, example: str, tmp_path: Path
) -> None:
    path = tmp_path / f"{example}.yaml"
    path.write_text((EXAMPLES / path.name).read_text().replace("/srv/tork/film", str(around.films)))
    code, job, log = submitted(container_daemon, path, *arguments(example, around))
    assert (code, job["state"]) == (0, "COMPLETED"), f"{job.get('error')}\n{log}"
    CONTAINER_CLAIMS[example].check(job, log)
    assert what_is_left(container_daemon, stand_ins) == []


def test_the_film_is_whole_and_encoded_and_nothing_lies_beside_it(
    container_daemon: Daemon, around: Surroundings, tmp_path: Path
) -> None:
    path = tmp_path / "job.yaml"
    path.write_text((EXAMPLES / "split-and-stitch.yaml").read_text().replace("/srv/tork/film", str(around.films)))
    _, job, _ = submitted(container_daemon, path, *arguments("split-and-stitch", around))
    place = around.films / job["id"]
    assert sorted((place / "result.mp4").read_text().splitlines()) == sorted(FILM.upper().splitlines())
    assert [file.name for file in place.iterdir()] == ["result.mp4"]
    assert job["result"] == f"{place}/result.mp4, {len(FILM)} bytes"


def test_the_example_of_continuous_integration_fails_with_the_tests_that_it_runs(
    container_daemon: Daemon, stand_ins: ContainerEngine, around: Surroundings
) -> None:
    more = ["--input", "revision=never-made", *arguments("ci", around)]
    code, job, log = submitted(container_daemon, EXAMPLES / "ci.yaml", *more)
    assert (code, job["state"]) == (1, "FAILED")
    assert "pre step 'fetch'" in job["error"]
    assert "wheel built" not in log
    assert what_is_left(container_daemon, stand_ins) == []


def test_the_example_of_shared_storage_says_when_the_password_is_wrong(container_daemon: Daemon) -> None:
    wrong = ["--secret", "password=wrong-one"]
    code, job, _ = submitted(container_daemon, EXAMPLES / "share-data-s3.yaml", *wrong)
    assert code == 1
    assert "Unable to initialize new alias from the provided credentials" in job["error"]


def test_the_example_of_a_registry_pulls_with_the_right_password_only(
    container_daemon: Daemon, stand_ins: ContainerEngine, registry: Registry
) -> None:
    image = f"{registry.image('team/tool')}:1"
    stand_ins.api.tag_image("alpine:3.21", image)
    stand_ins.api.push_image(image, registry.auth_header())
    stand_ins.api.remove_image(image)
    at = ["--input", f"registry={registry.host}"]
    code, job, _ = submitted(container_daemon, EXAMPLES / "registry.yaml", *at)
    assert code == 1
    assert f"error pulling image: {image}" in job["error"]
    code, _, log = submitted(
        container_daemon, EXAMPLES / "registry.yaml", *at, "--secret", f"password={registry.PASSWORD}"
    )
    assert code == 0, log
    assert f"Pulling image {image}" in log
    assert "pulled, and running" in log
    assert what_is_left(container_daemon, stand_ins) == []


def test_the_example_of_gpus_asks_for_them_where_that_can_be_done(
    container_daemon: Daemon, stand_ins: ContainerEngine
) -> None:
    code, job, _ = submitted(container_daemon, EXAMPLES / "gpus.yaml")
    assert code == 1
    reasons = {
        "docker": 'could not select device driver "" with capabilities: [[gpu]]',
        "podman": "gpus can't be given",
    }
    assert reasons[stand_ins.name] in job["error"]
    assert what_is_left(container_daemon, stand_ins) == []


@pytest.mark.parametrize("path", CONTAINERS, ids=[path.stem for path in CONTAINERS])
def test_an_example_names_a_version_of_every_image(path: Path) -> None:
    images = re.findall(r"^ *image: *(.*)$", path.read_text(), re.MULTILINE)
    assert images
    assert [image for image in images if not re.search(r":[\w.-]*\d[\w.-]*\"?$", image)] == []


def test_the_division_into_shell_and_containers_is_that_of_the_definitions() -> None:
    for path in CONTAINERS:
        assert "image" in path.read_text(), path
    for path in [*SHELL, EXAMPLES / "nightly.yaml"]:
        job = read_job_file(path)
        assert all(not task.image for task in job.tasks), path
