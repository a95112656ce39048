"""Runs that outlive their worker: the next one takes each up where it is, at whatever step, and nothing is done or logged twice.

A worker goes away in two ways: it shuts down and leaves its runs, or it dies and its threads are simply heard of no more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.container_play import NODE, PlayedRun, ServedEngine, a_runtime, an_equipment, reap
from tests.support.fake_calls import Call
from tests.support.fake_containers import Behaviour
from tests.support.waiting import wait_until
from tork.errors import RunLeft, RuntimeFailure, TaskStopped
from tork.task import AuxTask, Mount, Probe, Sidecar, TaskDefinition
from torkd.runtime.containers.engine import EngineError, EngineUnavailable, Standing
from torkd.runtime.containers.equipment import Equipment
from torkd.runtime.containers.runtime import ContainerRuntime
from torkd.runtime.containers.step import StepContainer
from torkd.runtime.stopping import StopReason

pytestmark = pytest.mark.usefixtures("quick")

DEFINITION = TaskDefinition(
    name="rich",
    image="bb",
    run="main",
    files={"a": "a"},
    mounts=[Mount(type="volume", target="/data")],
    pre=[AuxTask(name="before", image="bb", run="pre")],
    post=[AuxTask(name="after", image="bb", run="post")],
    sidecars=[Sidecar(name="web", image="bb", run="serve", probe=Probe(path="/", port=80))],
)
PRE, MAIN, POST, SIDECAR = "torkd-r1-pre-0", "torkd-r1-main", "torkd-r1-post-0", "torkd-r1-sidecar-0"
BINDS = pytest.mark.parametrize("binds", [True, False], ids=["directories", "volumes"])


class Node:
    """An engine, and one worker after the other."""

    def __init__(self, engine: ServedEngine, directory: Path, *, binds: bool = True) -> None:
        self.engine, self.binds = engine, binds
        self.mark = directory / "mark"
        self.run = PlayedRun(DEFINITION, directory / "run")
        self.run.directory.mkdir()
        engine.behaviours = {
            "pre-0": Behaviour(output=[("stdout", b"pre 1\n")], stays=True),
            "main": Behaviour(
                output=[("stdout", b"main 1\n"), ("stderr", b"half ")], files={"/tork/stdout": b"result"}, stays=True
            ),
            "post-0": Behaviour(output=[("stdout", b"post 1\n")], stays=True),
            "sidecar-0": Behaviour(output=[("stdout", b"serving 1\n")], stays=True),
        }

    def worker(self, **options: object) -> ContainerRuntime:
        return a_runtime(self.engine, self.mark, equipment=self.equipment(**options))

    def equipment(self, **options: object) -> Equipment:
        return an_equipment(self.engine, binds=self.binds, **options)

    def runs(self, container: str) -> bool:
        with self.engine.changed:
            found = self.engine.containers.get(container)
            return found is not None and found.standing is Standing.RUNNING

    def let_end(self, *containers: str) -> None:
        for container in containers:
            wait_until(lambda name=container: self.runs(name))  # type: ignore[misc] # mypy infers no lambda with a default
            self.engine.end(container, 0)

    def logs(self) -> dict[str, str]:
        names = ("pre-0/stdout", "main/stdout", "main/stderr", "post-0/stdout", "sidecar-0/stdout")
        return {name: self.run.log.text(name) for name in names}

    def leave(self, worker: ContainerRuntime) -> None:
        """The worker shuts down."""
        self.run.stop.set(StopReason.LEFT, "the worker shuts down")
        with pytest.raises(RunLeft):
            self.run.end()
        worker.close()
        self.run = self.run.successor()


@contextmanager
def a_dying_worker(node: Node, monkeypatch: pytest.MonkeyPatch, *, until: Callable[[], bool]) -> Iterator[None]:
    """A worker that begins the run, and is dead once `until` holds: no call of its threads reaches the engine after that."""
    worker = node.worker()
    own: set[threading.Thread] = set()
    original = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if threading.current_thread() in own or thread.name == "played-run":
            own.add(thread)
        original(thread)

    dead = threading.Event()

    def refuse(call: Call) -> None:
        if dead.is_set() and threading.current_thread() in own:
            threading.Event().wait()  # a dead thread does nothing any more

    node.engine.interfere(refuse)
    monkeypatch.setattr(threading.Thread, "start", start)
    node.run.begin(worker.run)
    wait_until(until)
    dead.set()
    monkeypatch.setattr(threading.Thread, "start", original)
    node.run = node.run.successor()
    yield


WHOLE = {
    "pre-0/stdout": "pre 1\npre 2\n",
    "main/stdout": "main 1\nmain 2\n",
    "main/stderr": "half whole\n",
    "post-0/stdout": "post 1\npost 2\n",
    "sidecar-0/stdout": "serving 1\n",
}
STAGES = ["pre", "main", "post"]


def go_on(node: Node, stage: str) -> None:
    """Everything that is still to happen from a stage on, while the second worker watches."""
    if stage == "pre":
        node.engine.say(PRE, b"pre 2\n")
        node.let_end(PRE)
    if stage in {"pre", "main"}:
        wait_until(lambda: node.runs(MAIN))
        node.engine.say(MAIN, b"main 2\n")
        node.engine.say(MAIN, b"whole\n", "stderr")
        node.let_end(MAIN)
    wait_until(lambda: node.runs(POST))
    node.engine.say(POST, b"post 2\n")
    node.let_end(POST)


def reach(node: Node, stage: str) -> None:
    """Let everything happen until the container of the stage runs and its first words are in the log."""
    if stage != "pre":
        wait_until(lambda: node.runs(PRE))
        node.engine.say(PRE, b"pre 2\n")
        node.let_end(PRE)
    if stage == "post":
        wait_until(lambda: node.runs(MAIN))
        node.engine.say(MAIN, b"main 2\n")
        node.engine.say(MAIN, b"whole\n", "stderr")
        node.let_end(MAIN)
    first = {"pre": "pre-0/stdout", "main": "main/stderr", "post": "post-0/stdout"}[stage]
    wait_until(lambda: node.run.log.text(first))


def begins(node: Node) -> list[str]:
    """The containers that were started, in order."""
    return [call.arguments[0] for call in node.engine.calls if call.method == "start_container"]


@BINDS
@pytest.mark.parametrize("stage", STAGES)
def test_a_run_that_was_left_is_taken_up_where_it_is(
    engine: ServedEngine, tmp_path: Path, stage: str, binds: bool
) -> None:
    node = Node(engine, tmp_path, binds=binds)
    first = node.worker()
    node.run.begin(first.run)
    reach(node, stage)
    node.leave(first)
    second = node.worker()
    assert set(second.resumable()) == {"r1"}
    node.run.begin(second.run)
    go_on(node, stage)
    assert node.run.end() == "result"
    assert node.logs() == WHOLE
    assert begins(node) == [PRE, SIDECAR, MAIN, POST]
    assert engine.leftovers() == []
    assert [entry for entry in node.run.directory.iterdir() if entry.is_dir()] == []
    second.close()


@BINDS
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("has_ended", [False, True], ids=["goes on", "has ended meanwhile"])
def test_a_run_whose_worker_died_is_taken_up_where_it_is(
    engine: ServedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, binds: bool, has_ended: bool
) -> None:
    node = Node(engine, tmp_path, binds=binds)
    with begun_and_died(node, monkeypatch, stage):
        if has_ended:
            for name, stream, words in SECOND_WORDS[stage]:
                engine.say(name, words, stream)
            engine.end({"pre": PRE, "main": MAIN, "post": POST}[stage], 0)
        second = node.worker()
        assert set(second.resumable()) == {"r1"}
        node.run.begin(second.run)
        if not has_ended:
            go_on(node, stage)
        elif stage != "post":
            go_on(node, STAGES[STAGES.index(stage) + 1])
        assert node.run.end() == "result"
        assert node.logs() == WHOLE
        assert begins(node) == [PRE, SIDECAR, MAIN, POST]
        assert engine.leftovers() == []
        second.close()


SECOND_WORDS = {
    "pre": [(PRE, "stdout", b"pre 2\n")],
    "main": [(MAIN, "stdout", b"main 2\n"), (MAIN, "stderr", b"whole\n")],
    "post": [(POST, "stdout", b"post 2\n")],
}


@contextmanager
def begun_and_died(node: Node, monkeypatch: pytest.MonkeyPatch, stage: str) -> Iterator[None]:
    def reached() -> bool:
        reach(node, stage)
        return True

    with a_dying_worker(node, monkeypatch, until=reached):
        yield


def test_a_main_container_that_was_made_and_never_started_is_made_anew(
    engine: ServedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(engine, tmp_path)
    engine.behaviours["pre-0"] = Behaviour()
    held = threading.Event()

    def hold(call: Call) -> None:
        if call.method == "start_container" and call.arguments[0] == MAIN and not held.is_set():
            held.set()
            threading.Event().wait()

    engine.interfere(hold)
    with a_dying_worker(node, monkeypatch, until=held.is_set):
        second = node.worker()
        made_first = engine.containers[MAIN].id
        node.run.begin(second.run)
        wait_until(lambda: node.runs(MAIN))
        assert engine.containers[MAIN].id != made_first
        node.let_end(MAIN, POST)
        assert node.run.end() == "result"
        assert engine.leftovers() == []
        second.close()


def test_sidecars_that_ended_before_the_next_worker_came_are_logged_and_removed(
    engine: ServedEngine, tmp_path: Path
) -> None:
    node = Node(engine, tmp_path)
    first = node.worker()
    node.run.begin(first.run)
    reach(node, "main")
    node.leave(first)
    engine.say(SIDECAR, b"bye\n")
    engine.end(SIDECAR, 1)
    second = node.worker()
    node.run.begin(second.run)
    node.let_end(MAIN, POST)
    assert node.run.end() == "result"
    assert node.run.log.text("sidecar-0/stdout") == "serving 1\nbye\n"
    assert engine.leftovers() == []
    second.close()


def test_a_step_that_failed_while_nobody_watched_fails_the_run_with_its_last_lines(
    engine: ServedEngine, tmp_path: Path
) -> None:
    node = Node(engine, tmp_path)
    first = node.worker()
    node.run.begin(first.run)
    reach(node, "main")
    node.leave(first)
    engine.end(MAIN, 3)
    second = node.worker()
    node.run.begin(second.run)
    with pytest.raises(RuntimeFailure, match=r"^exit code 3: main 1\nhalf$"):
        node.run.end()
    assert engine.leftovers() == []
    second.close()


def test_a_run_whose_containers_are_gone_is_not_begun_again(engine: ServedEngine, tmp_path: Path) -> None:
    node = Node(engine, tmp_path)
    first = node.worker()
    node.run.begin(first.run)
    reach(node, "main")
    node.leave(first)
    for name in (MAIN, SIDECAR):
        engine.remove_container(name)
    second = node.worker()
    assert set(second.resumable()) == set()
    node.run.begin(second.run)
    with pytest.raises(RuntimeFailure, match="the task's container is gone, and with it how the task ended"):
        node.run.end()
    assert engine.leftovers() == []
    second.close()


@pytest.mark.parametrize("reason", [StopReason.CANCELLED, StopReason.TIMED_OUT, StopReason.DRAINED])
def test_a_run_stopped_before_it_is_taken_up_goes_on_nowhere(
    engine: ServedEngine, tmp_path: Path, reason: StopReason
) -> None:
    node = Node(engine, tmp_path)
    first = node.worker()
    node.run.begin(first.run)
    reach(node, "main")
    node.leave(first)
    node.run.stop.set(reason, "the run must end")
    second = node.worker()
    node.run.begin(second.run)
    with pytest.raises(RuntimeFailure, match="the run must end"):
        node.run.end()
    assert engine.leftovers() == []
    second.close()


def test_a_run_left_again_before_it_was_taken_up_stays_as_it_is(engine: ServedEngine, tmp_path: Path) -> None:
    node = Node(engine, tmp_path)
    first = node.worker()
    node.run.begin(first.run)
    reach(node, "main")
    node.leave(first)
    node.run.stop.set(StopReason.LEFT, "the worker shuts down")
    second = node.worker()
    node.run.begin(second.run)
    with pytest.raises(RunLeft):
        node.run.end()
    assert node.runs(MAIN)
    assert node.runs(SIDECAR)
    second.close()


def test_a_run_is_left_many_times_and_its_log_is_whole(engine: ServedEngine, tmp_path: Path) -> None:
    node = Node(engine, tmp_path)
    worker = node.worker()
    node.run.begin(worker.run)
    reach(node, "main")
    for number in range(5):
        node.leave(worker)
        engine.say(MAIN, b"between %d\n" % number)
        worker = node.worker()
        node.run.begin(worker.run)
        wait_until(lambda words=f"between {number}": words in node.run.log.text("main/stdout"))  # type: ignore[misc] # mypy infers no lambda with a default
    node.let_end(MAIN, POST)
    assert node.run.end() == "result"
    assert node.run.log.text("main/stdout") == "main 1\n" + "".join(f"between {number}\n" for number in range(5))
    assert begins(node).count(MAIN) == 1
    worker.close()


class TestResumable:
    def test_a_run_whose_step_was_not_started_is_left_over(self, engine: ServedEngine, tmp_path: Path) -> None:
        labels = {"torkd.node": NODE, "torkd.run": "a"}
        engine.create_volume("v", options={}, labels=labels)
        engine.create_network("n", labels=labels)
        engine.create_container("main", {"Image": "bb", "Labels": {**labels, "torkd.step": "main"}})
        engine.create_container("sidecar", {"Image": "bb", "Labels": {**labels, "torkd.step": "sidecar-0"}})
        engine.start_container("sidecar")
        runtime = a_runtime(engine, tmp_path / "mark")
        assert set(runtime.resumable()) == set()
        wait_until(lambda: not engine.leftovers())
        runtime.close()

    @pytest.mark.parametrize(
        ("labels", "is_started", "resumable"),
        [
            pytest.param({"torkd.node": NODE, "torkd.run": "a", "torkd.step": "main"}, True, {"a"}, id="a step"),
            pytest.param({"torkd.node": NODE, "torkd.run": "a", "torkd.step": "main"}, False, set(), id="not started"),
            pytest.param(
                {"torkd.node": NODE, "torkd.run": "a", "torkd.step": "sidecar-0"}, True, set(), id="a sidecar"
            ),
            pytest.param({"torkd.node": NODE, "torkd.run": "a"}, True, set(), id="no step: it only cleans up"),
            pytest.param({"torkd.node": "n2", "torkd.run": "a", "torkd.step": "main"}, True, set(), id="a neighbour's"),
            pytest.param({"torkd.node": NODE, "torkd.step": "main"}, True, set(), id="no run"),
        ],
    )
    def test_only_runs_of_which_a_step_was_started_can_be_taken_up(
        self, engine: ServedEngine, tmp_path: Path, labels: dict[str, str], is_started: bool, resumable: set[str]
    ) -> None:
        engine.create_container("c", {"Image": "bb", "Labels": labels})
        if is_started:
            engine.start_container("c")
        runtime = a_runtime(engine, tmp_path / "mark")
        assert set(runtime.resumable()) == resumable
        runtime.close()

    def test_an_engine_that_is_away_is_told_and_asked_again(self, engine: ServedEngine, tmp_path: Path) -> None:
        engine.create_container(
            "c", {"Image": "bb", "Labels": {"torkd.node": NODE, "torkd.run": "a", "torkd.step": "main"}}
        )
        engine.start_container("c")
        runtime = a_runtime(engine, tmp_path / "mark")
        engine.lose()
        with pytest.raises(EngineUnavailable):
            runtime.resumable()
        engine.recover()
        assert set(runtime.resumable()) == {"a"}
        assert "c" in engine.containers
        runtime.close()


def test_nothing_of_what_failed_to_be_taken_up_goes_on(
    engine: ServedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: StepContainer) -> None:
        raise EngineError("no log")

    node = Node(engine, tmp_path)
    first = node.worker()
    node.run.begin(first.run)
    reach(node, "main")
    node.leave(first)
    monkeypatch.setattr(StepContainer, "take_up", refuse)
    second = node.worker()
    node.run.begin(second.run)
    with pytest.raises(EngineError, match="no log"):
        node.run.end()
    assert engine.leftovers() == []
    second.close()


def test_a_run_cancelled_after_it_was_taken_up_leaves_nothing(engine: ServedEngine, tmp_path: Path) -> None:
    node = Node(engine, tmp_path)
    first = node.worker()
    node.run.begin(first.run)
    reach(node, "main")
    node.leave(first)
    second = node.worker()
    node.run.begin(second.run)
    logs_read = engine.count("follow_log")
    wait_until(lambda: engine.count("follow_log") >= logs_read)
    node.run.stop.set(StopReason.CANCELLED, "cancelled")
    with pytest.raises(TaskStopped):
        node.run.end()
    assert engine.leftovers() == []
    assert reap(engine) == 0
    second.close()
