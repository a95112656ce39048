"""Whatever call of the engine fails, and whenever a run is stopped: it ends with one sentence, and nothing stays.

A rich task is run once to learn which calls there are. Threads that watch containers call too, so a call is known by its
method, what it is about and how often that came, not by a number over all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.container_play import PlayedRun, ServedEngine, an_equipment, reap
from tests.support.fake_calls import Call
from tests.support.fake_containers import Behaviour
from tork.errors import RunLeft, RuntimeFailure, TaskStopped, TaskTimedOut
from tork.task import AuxTask, Mount, Probe, Sidecar, TaskDefinition
from torkd.runtime.containers.engine import EngineError, EngineUnavailable, Standing
from torkd.runtime.containers.execution import Execution
from torkd.runtime.stopping import StopReason

pytestmark = pytest.mark.usefixtures("quick")

RICH = TaskDefinition(
    name="rich",
    image="bb",
    run="main",
    workdir="/work",
    files={"in/a.txt": "a"},
    networks=["backend"],
    mounts=[Mount(type="volume", target="/one"), Mount(type="volume", target="/two")],
    pre=[AuxTask(name="before", image="bb", run="pre", files={"b": "b"})],
    post=[AuxTask(name="after", image="bb", run="post")],
    sidecars=[
        Sidecar(name="web", image="bb", run="serve", probe=Probe(path="/ready", port=80)),
        Sidecar(name="cache", image="bb", run="cache", probe=Probe(path="/", port=81)),
    ],
)
Site = tuple[str, str, int]
"""A method, the name it was called with, and which such call it was."""
Blow = Callable[[ServedEngine, PlayedRun], None]


class Sites:
    """Calls as sites; meets `blow` at one of them."""

    def __init__(self, engine: ServedEngine, blow: Callable[[], None] = lambda: None, at: Site | None = None) -> None:
        self.met: list[Site] = []
        self._engine, self._blow, self._at = engine, blow, at
        self._counts: Counter[tuple[str, str]] = Counter()

    def meet(self, call: Call) -> None:
        with self._engine.changed:
            key = (call.method, str(call.arguments[0]) if call.arguments else "")
            self._counts[key] += 1
            site = (*key, self._counts[key])
            self.met.append(site)
        if site == self._at:
            self._blow()


def prepare(engine: ServedEngine) -> None:
    engine.networks["backend"] = {}
    engine.behaviours = {
        "pre-0": Behaviour(output=[("stdout", b"pre\n")]),
        "main": Behaviour(output=[("stdout", b"main\n")], files={"/tork/stdout": b"result", "/tork/progress": b"50"}),
        "post-0": Behaviour(output=[("stderr", b"post\n")]),
        "sidecar-0": Behaviour(stays=True, output=[("stdout", b"serving\n")]),
        "sidecar-1": Behaviour(stays=True, ignores_term=True),
    }


def rich_run(directory: Path) -> PlayedRun:
    directory.mkdir(parents=True)
    return PlayedRun(RICH, directory)


def outcome(engine: ServedEngine, run: PlayedRun, *, binds: bool) -> str | BaseException:
    try:
        return Execution(run.task_run(), an_equipment(engine, binds=binds)).run()
    except BaseException as error:  # noqa: BLE001 -- which it is, is what the tests ask
        return error


def all_sites(directory: Path, port: int, *, binds: bool) -> list[Site]:
    engine = ServedEngine("bb")
    engine.served_port = port
    prepare(engine)
    sites = Sites(engine)
    engine.interfere(sites.meet)
    assert outcome(engine, rich_run(directory), binds=binds) == "result"
    assert engine.leftovers() == ["network backend"]
    return list(dict.fromkeys(sites.met))


def faults(engine: ServedEngine, run: PlayedRun, ended: str | BaseException) -> list[str]:
    """What is wrong with how a run ended."""
    found = []
    if isinstance(ended, BaseException) and not is_one_sentence(ended):
        found.append(f"ended with {ended!r}")
    if isinstance(ended, str) and ended != "result":
        found.append(f"its result is {ended!r}")
    if left := [name for name in engine.leftovers() if name != "network backend"]:
        found.append(f"left {left}")
    if directories := [entry.name for entry in run.directory.iterdir() if entry.is_dir()]:
        found.append(f"left the directories {directories}")
    return found


def is_one_sentence(error: BaseException) -> bool:
    text = str(error)
    return isinstance(error, RuntimeFailure) and 0 < len(text) < 300 and "\n" not in text and "Traceback" not in text


def fail_with(error: EngineError) -> Blow:
    def blow(engine: ServedEngine, run: PlayedRun) -> None:
        raise error

    return blow


def lose(engine: ServedEngine, run: PlayedRun) -> None:
    engine.lose()
    raise EngineUnavailable("the engine does not answer: connection refused")


def stop_with(reason: StopReason) -> Blow:
    return lambda engine, run: run.stop.set(reason, "the run must end")


def blown_at(
    site: Site, blow: Blow, directory: Path, port: int, *, after: bool, binds: bool
) -> tuple[ServedEngine, PlayedRun, str | BaseException]:
    engine = ServedEngine("bb")
    engine.served_port = port
    prepare(engine)
    run = rich_run(directory)
    engine.interfere(Sites(engine, lambda: blow(engine, run), site).meet, after=after)
    return engine, run, outcome(engine, run, binds=binds)


BINDS = pytest.mark.parametrize("binds", [True, False], ids=["directories", "volumes"])
# A network that was refused is tried again.
NEEDED = {"create_volume", "create_container", "connect_network", "put_archive", "start_container"}
"""Calls that are not tried again: without them a run can't succeed."""
WHEN = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


@BINDS
@WHEN
@pytest.mark.parametrize(
    "blow",
    [
        pytest.param(fail_with(EngineError("the engine said no")), id="refused"),
        pytest.param(fail_with(EngineUnavailable("the engine does not answer: reset")), id="cut off"),
        pytest.param(lose, id="lost"),
    ],
)
def test_a_call_that_fails_leaves_nothing_that_the_reaper_does_not_find(
    engine: ServedEngine, tmp_path: Path, blow: Blow, after: bool, binds: bool
) -> None:
    wrong = {}
    for number, site in enumerate(all_sites(tmp_path / "all", engine.served_port, binds=binds)):
        blown, run, ended = blown_at(site, blow, tmp_path / str(number), engine.served_port, after=after, binds=binds)
        is_lost = blow is lose
        if not is_lost and not site[0].startswith("remove_") and (found := faults(blown, run, ended)):
            wrong[site] = ["without the reaper:", *found]
        blown.recover()
        reap(blown)
        if found := faults(blown, run, ended):
            wrong[site] = found
        elif isinstance(ended, str) and site[0] in NEEDED:
            wrong[site] = ["succeeded without it"]
    assert not wrong


@WHEN
@pytest.mark.parametrize(
    ("reason", "binds"),
    [
        pytest.param(StopReason.CANCELLED, True, id="cancelled"),
        pytest.param(StopReason.TIMED_OUT, True, id="timed out"),
        pytest.param(StopReason.DRAINED, True, id="drained"),
        pytest.param(StopReason.CANCELLED, False, id="cancelled with volumes"),
    ],
)
def test_a_run_that_is_stopped_at_any_call_leaves_nothing(
    engine: ServedEngine, tmp_path: Path, reason: StopReason, after: bool, binds: bool
) -> None:
    wrong = {}
    kind = TaskTimedOut if reason is StopReason.TIMED_OUT else TaskStopped
    for number, site in enumerate(all_sites(tmp_path / "all", engine.served_port, binds=binds)):
        stopped, run, ended = blown_at(
            site, stop_with(reason), tmp_path / str(number), engine.served_port, after=after, binds=binds
        )
        found = faults(stopped, run, ended)
        if isinstance(ended, BaseException) and type(ended) is not kind:
            found.append(f"is a {type(ended).__name__}")
        if found:
            wrong[site] = found
    assert not wrong


@BINDS
@WHEN
def test_a_run_that_is_to_be_left_is_left_while_a_step_runs_and_else_leaves_nothing(
    engine: ServedEngine, tmp_path: Path, after: bool, binds: bool
) -> None:
    wrong = {}
    for number, site in enumerate(all_sites(tmp_path / "all", engine.served_port, binds=binds)):
        left, run, ended = blown_at(
            site, stop_with(StopReason.LEFT), tmp_path / str(number), engine.served_port, after=after, binds=binds
        )
        if isinstance(ended, RunLeft):
            if not any(one.standing is not Standing.CREATED for one in left.containers.values()):
                wrong[site] = ["nothing is there to be taken up"]
        elif found := faults(left, run, ended):
            wrong[site] = found
    assert not wrong


def test_the_rich_task_makes_every_kind_of_call(engine: ServedEngine, tmp_path: Path) -> None:
    with_directories = {site[0] for site in all_sites(tmp_path / "a", engine.served_port, binds=True)}
    with_volumes = {site[0] for site in all_sites(tmp_path / "b", engine.served_port, binds=False)}
    assert with_directories >= {
        "create_network",
        "create_volume",
        "create_container",
        "put_archive",
        "connect_network",
        "start_container",
        "follow_log",
        "wait_briefly",
        "wait_container",
        "inspect_container",
        "remove_container",
        "remove_volume",
        "remove_network",
        "read_file",
    }
    assert with_directories - with_volumes == {"has_selinux"}


def test_a_run_stopped_while_everything_goes_on_is_ended_with_grace(engine: ServedEngine, tmp_path: Path) -> None:
    prepare(engine)
    engine.behaviours["main"] = Behaviour(stays=True)
    run = rich_run(tmp_path / "run")
    graces: list[float | None] = []

    def note(call: Call) -> None:
        if call.method == "remove_container" and call.arguments[0] == "torkd-r1-main":
            graces.append(engine.containers["torkd-r1-main"].grace_seconds)

    def stop(call: Call) -> None:
        if call.method == "start_container" and call.arguments[0] == "torkd-r1-main":
            run.stop.set(StopReason.CANCELLED, "the task was cancelled")

    engine.interfere(note)
    engine.interfere(stop, after=True)
    with pytest.raises(TaskStopped, match="the task was cancelled"):
        Execution(run.task_run(), an_equipment(engine)).run()
    assert graces == [1.0]
    assert engine.leftovers() == ["network backend"]
