"""One run from its first step to its last: their order, what they share, how the run ends, and when that is settled."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.container_play import PlayedRun, ServedEngine, an_equipment
from tests.support.fake_calls import Call
from tests.support.fake_containers import Behaviour
from tests.support.waiting import wait_until
from tork.errors import RuntimeFailure, TaskTimedOut
from tork.task import AuxTask, Limits, Mount, Sidecar, TaskDefinition
from torkd.runtime.containers import execution as execution_module
from torkd.runtime.containers.differences import PODMAN
from torkd.runtime.containers.engine import EngineError, EngineUnavailable, ResourceMissing
from torkd.runtime.containers.execution import Execution

pytestmark = pytest.mark.usefixtures("quick")
OUTPUT = {"/tork/stdout": b"result"}
STEPS = {
    "pre": [AuxTask(name="first", image="bb", run="pre"), AuxTask(image="bb", run="pre")],
    "post": [AuxTask(name="last", image="bb", run="post")],
}


def played(directory: Path, **keys: object) -> PlayedRun:
    directory.mkdir(exist_ok=True)
    return PlayedRun(TaskDefinition(**{"image": "bb", "run": "main", **keys}), directory)  # type: ignore[arg-type] # each test knows its keys


def execute(engine: ServedEngine, run: PlayedRun, *, binds: bool = True) -> str:
    return Execution(run.task_run(), an_equipment(engine, binds=binds)).run()


def started(engine: ServedEngine) -> list[str]:
    return [call.arguments[0].removeprefix("torkd-r1-") for call in engine.calls if call.method == "start_container"]


def test_steps_run_one_after_the_other_and_only_the_main_ones_output_is_the_result(
    engine: ServedEngine, tmp_path: Path
) -> None:
    engine.behaviours = {
        "pre-0": Behaviour(files={"/tork/stdout": b"pre"}),
        "main": Behaviour(files=OUTPUT),
        "post-0": Behaviour(files={"/tork/stdout": b"post"}),
    }
    assert execute(engine, played(tmp_path / "run", **STEPS)) == "result"
    assert started(engine) == ["pre-0", "pre-1", "main", "post-0"]


def test_sidecars_are_ready_before_the_main_container_starts_and_gone_after_it(
    engine: ServedEngine, tmp_path: Path
) -> None:
    engine.behaviours = {"sidecar-0": Behaviour(stays=True)}
    execute(engine, played(tmp_path / "run", sidecars=[Sidecar(image="bb", run="x")], **STEPS))
    order = [
        f"{call.method.partition('_')[0]} {call.arguments[0].removeprefix('torkd-r1-')}"
        for call in engine.calls
        if call.method in {"create_container", "start_container", "remove_container"}
    ]
    assert [one for one in order if "main" in one or "sidecar" in one] == [
        "create main",
        "create sidecar-0",
        "start sidecar-0",
        "start main",
        "remove sidecar-0",
        "remove main",
    ]


def test_all_sidecars_are_ended_before_any_is_removed_and_share_the_patience_for_their_logs(
    engine: ServedEngine, tmp_path: Path
) -> None:
    engine.behaviours = {f"sidecar-{index}": Behaviour(stays=True) for index in range(4)}
    is_over = threading.Event()

    def hold_log(call: Call) -> None:
        if call.method == "follow_log" and "sidecar" in call.arguments[0]:
            is_over.wait(20.0)

    engine.interfere(hold_log)
    run = played(tmp_path / "run", sidecars=[Sidecar(image="bb", run="x")] * 4)
    began_at = time.monotonic()
    Execution(run.task_run(), an_equipment(engine, patience_seconds=0.5)).run()
    took = time.monotonic() - began_at
    is_over.set()
    order = [call.method for call in engine.calls if call.method in {"stop_container", "remove_container"}]
    assert order[:8] == ["stop_container"] * 4 + ["remove_container"] * 4
    assert 0.5 <= took < 2.0


def test_all_steps_share_the_tasks_mounts_limits_and_networks(engine: ServedEngine, tmp_path: Path) -> None:
    seen: dict[str, object] = {}

    def look(call: Call) -> None:
        if call.method == "create_container":
            name, config = call.arguments
            host = config["HostConfig"]
            seen[name] = ([mount["Target"] for mount in host["Mounts"]], host["Memory"], host["NetworkMode"])

    engine.interfere(look)
    keys = {
        "mounts": [Mount(type="volume", target="/data")],
        "limits": Limits(memory="10m"),
        "sidecars": [Sidecar(image="bb", run="x")],
    }
    execute(engine, played(tmp_path / "run", **keys, **STEPS))
    assert len(seen) == 5
    assert set(map(str, seen.values())) == {str((["/data", "/tork"], 10 * 1024 * 1024, "torkd-r1-network"))}


@pytest.mark.parametrize(
    ("step", "text"),
    [
        ("pre-0", "exit code 3 (pre step 'first'): last words"),
        ("pre-1", "exit code 3 (pre step): last words"),
        ("main", "exit code 3: last words"),
        ("post-0", "exit code 3 (post step 'last'): last words"),
    ],
)
def test_a_step_that_fails_fails_the_run_and_none_comes_after_it(
    engine: ServedEngine, tmp_path: Path, step: str, text: str
) -> None:
    engine.behaviours = {step: Behaviour(exit_code=3, output=[("stderr", b"last words\n")])}
    with pytest.raises(RuntimeFailure) as caught:
        execute(engine, played(tmp_path / "run", **STEPS))
    assert str(caught.value) == text
    assert started(engine)[-1] == step
    assert engine.leftovers() == []


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (None, "exit code 137: out of memory\nx"),
        (Limits(memory="20m"), "exit code 137: out of memory: limits.memory is 20m\nx"),
    ],
    ids=["no limit", "a limit"],
)
def test_out_of_memory_is_named(engine: ServedEngine, tmp_path: Path, limits: Limits | None, text: str) -> None:
    engine.behaviours = {"main": Behaviour(exit_code=137, ran_out_of_memory=True, output=[("stdout", b"x\n")])}
    with pytest.raises(RuntimeFailure) as caught:
        execute(engine, played(tmp_path / "run", limits=limits))
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("limits", "code", "text"),
    [
        (Limits(memory="20m"), 137, "exit code 137: killed, perhaps out of memory: limits.memory is 20m\nx"),
        (Limits(memory="20m"), 1, "exit code 1: x"),
        (None, 137, "exit code 137: x"),
    ],
    ids=["a limit", "not killed", "no limit"],
)
def test_what_the_engine_did_not_notice_may_have_been_the_memory(
    engine: ServedEngine, tmp_path: Path, limits: Limits | None, code: int, text: str
) -> None:
    engine.behaviours = {"main": Behaviour(exit_code=code, output=[("stdout", b"x\n")])}
    with pytest.raises(RuntimeFailure) as caught:
        execute(engine, played(tmp_path / "run", limits=limits))
    assert str(caught.value) == text


def test_only_the_last_ten_lines_are_in_the_error(engine: ServedEngine, tmp_path: Path) -> None:
    engine.behaviours = {"main": Behaviour(exit_code=1, output=[("stdout", b"%d\n" % n) for n in range(20)])}
    with pytest.raises(RuntimeFailure) as caught:
        execute(engine, played(tmp_path / "run"))
    assert str(caught.value) == "exit code 1: " + "\n".join(map(str, range(10, 20)))


def test_a_container_that_ended_badly_while_the_engine_was_away_says_so(engine: ServedEngine, tmp_path: Path) -> None:
    engine.behaviours = {"main": Behaviour(stays=True)}
    run = played(tmp_path / "run")
    equipment = an_equipment(engine, patience_seconds=20.0)
    run.begin(lambda given: Execution(given, equipment).run())
    wait_until(lambda: engine.count("follow_log"))
    engine.lose()
    wait_until(lambda: engine.count("inspect_container"))
    engine.recover(ended=True)
    with pytest.raises(RuntimeFailure) as caught:
        run.end()
    assert str(caught.value) == "exit code 137: the container engine was away while the task ran, and may have ended it"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            EngineUnavailable("Docker does not answer: Connection refused"),
            (
                "the container engine was lost while the task ran: Docker does not answer: Connection refused "
                "(what is left of it is removed later)"
            ),
        ),
        (
            ResourceMissing("No such container: torkd-r1-main"),
            "the container was removed by somebody else while the task ran: No such container: torkd-r1-main",
        ),
    ],
    ids=["lost", "removed"],
)
def test_an_end_that_is_not_known_is_told_with_its_reason(
    engine: ServedEngine, tmp_path: Path, error: Exception, text: str
) -> None:
    def refuse(call: Call) -> None:
        if call.method in {"wait_briefly", "wait_container", "inspect_container"}:
            raise error

    engine.interfere(refuse)
    with pytest.raises(RuntimeFailure) as caught:
        execute(engine, played(tmp_path / "run"))
    assert str(caught.value) == text


def test_a_step_that_takes_too_long_is_ended(engine: ServedEngine, tmp_path: Path) -> None:
    engine.behaviours = {"pre-0": Behaviour(stays=True)}
    run = played(tmp_path / "run", pre=[AuxTask(name="slow", image="bb", run="x", timeout="10ms")])
    with pytest.raises(TaskTimedOut, match=r"^pre step 'slow' timed out after 10ms$"):
        execute(engine, run)
    assert engine.leftovers() == []


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"image": ""}, "task image is required"),
        ({"pre": [AuxTask(name="p", run="x")]}, "pre step 'p' image is required"),
        ({"files": {"../a": ""}}, "file name '../a' is not allowed"),
        ({"post": [AuxTask(image="bb", files={"/a": ""})]}, "file name '/a' is not allowed"),
        ({"limits": Limits(memory="much")}, "memory"),
        ({"gpus": "many"}, "error setting GPUs"),
    ],
    ids=["image", "image of a step", "file", "file of a step", "limits", "gpus"],
)
def test_what_can_be_known_to_be_wrong_is_refused_before_anything_is_made(
    engine: ServedEngine, tmp_path: Path, keys: dict[str, object], text: str
) -> None:
    with pytest.raises(RuntimeFailure, match=text):
        execute(engine, played(tmp_path / "run", **keys))
    assert not engine.calls


@pytest.mark.parametrize("binds", [True, False], ids=["directories", "volumes"])
def test_the_progress_at_the_end_is_told(engine: ServedEngine, tmp_path: Path, binds: bool) -> None:
    engine.behaviours = {"main": Behaviour(files={"/tork/progress": b" 42.5\n"})}
    run = played(tmp_path / "run")
    execute(engine, run, binds=binds)
    assert run.progress == [42.5]


def test_progress_is_told_while_the_task_runs(
    engine: ServedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution_module, "TICK_SECONDS", 0.005)
    engine.behaviours = {"main": Behaviour(stays=True)}
    run = played(tmp_path / "run")
    run.begin(lambda given: Execution(given, an_equipment(engine)).run())
    wait_until(lambda: engine.count("follow_log"))
    engine.write_file("torkd-r1-main", "/tork/progress", b"10")
    wait_until(lambda: 10.0 in run.progress)
    engine.end("torkd-r1-main", 0)
    run.end()


class TestSettling:
    def settled(self, engine: ServedEngine, run: PlayedRun) -> list[tuple[str, list[str]]]:
        """Each outcome that was settled, with the containers there were at that moment."""
        seen: list[tuple[str, list[str]]] = []
        given = replace(run.task_run(), settle=lambda outcome: seen.append((str(outcome), sorted(engine.containers))))
        with suppress(RuntimeFailure):
            Execution(given, an_equipment(engine)).run()
        return seen

    def test_a_result_is_settled_while_its_container_is_still_there(self, engine: ServedEngine, tmp_path: Path) -> None:
        engine.behaviours = {"main": Behaviour(files=OUTPUT), "sidecar-0": Behaviour(stays=True)}
        run = played(tmp_path / "run", sidecars=[Sidecar(image="bb", run="x")])
        assert self.settled(engine, run) == [("result", ["torkd-r1-main"])]

    def test_a_result_is_not_settled_before_the_last_step_has_ended(self, engine: ServedEngine, tmp_path: Path) -> None:
        engine.behaviours = {"main": Behaviour(files=OUTPUT)}
        assert self.settled(engine, played(tmp_path / "run", **STEPS)) == [("result", ["torkd-r1-post-0"])]

    def test_a_failure_is_settled_while_its_container_is_still_there(
        self, engine: ServedEngine, tmp_path: Path
    ) -> None:
        engine.behaviours = {"pre-0": Behaviour(exit_code=1)}
        run = played(tmp_path / "run", **STEPS)
        assert self.settled(engine, run) == [("exit code 1 (pre step 'first')", ["torkd-r1-pre-0"])]


class TestLearning:
    def test_an_engine_without_an_init_process_is_asked_for_none_any_more(
        self, engine: ServedEngine, tmp_path: Path
    ) -> None:
        asked: list[bool] = []

        def refuse(call: Call) -> None:
            if call.method == "start_container" and engine.containers[call.arguments[0]].config["HostConfig"]["Init"]:
                raise EngineUnavailable('exec: "docker-init": executable file not found in $PATH')
            if call.method == "create_container":
                asked.append(call.arguments[1]["HostConfig"]["Init"])

        engine.interfere(refuse)
        equipment = an_equipment(engine)
        for name in ("a", "b"):
            run = played(tmp_path / name)
            Execution(run.task_run(), equipment).run()
        assert asked == [True, False, False]
        assert engine.leftovers() == []

    def test_an_engine_that_does_not_see_our_directories_gets_copies(
        self, engine: ServedEngine, tmp_path: Path
    ) -> None:
        engine.behaviours = {"main": Behaviour(files=OUTPUT)}

        def refuse(call: Call) -> None:
            if call.method == "create_container":
                for mount in call.arguments[1]["HostConfig"]["Mounts"]:
                    if mount["Type"] == "bind":
                        raise ResourceMissing(
                            f"invalid mount config: bind source path does not exist: {mount['Source']}"
                        )

        engine.interfere(refuse)
        run = played(tmp_path / "run", files={"a": "b"})
        assert execute(engine, run) == "result"
        assert engine.leftovers() == []
        assert list(run.directory.iterdir()) == []


STUMBLE = EngineError("mounting storage for container 1: lstat /x/merged: no such file or directory")


FIREWALL = EngineError(
    "netavark: unable to append rule '-d 10.88.0.0/16 -j ACCEPT' to table 'nat': code: 1, msg: iptables: "
    "No chain/target/match by that name."
)


@pytest.mark.parametrize("stumble", [STUMBLE, FIREWALL], ids=["storage", "firewall"])
@pytest.mark.parametrize("method", ["start_container", "create_container", "put_archive"])
def test_an_engine_that_stumbles_is_asked_again(
    engine: ServedEngine, tmp_path: Path, method: str, stumble: EngineError
) -> None:
    engine.behaviours = {"main": Behaviour(files=OUTPUT)}
    run = played(tmp_path / "run", workdir="/work", files={"a": "b"})
    engine.fail(method, error=stumble)
    equipment = replace(an_equipment(engine), differences=PODMAN)
    assert Execution(run.task_run(), equipment).run() == "result"
    assert engine.count(method) > 1


def test_an_engine_that_goes_on_stumbling_fails_the_task(engine: ServedEngine, tmp_path: Path) -> None:
    for nth in range(1, 20):
        engine.fail("start_container", nth=nth, error=STUMBLE)
    equipment = replace(an_equipment(engine), differences=PODMAN)
    with pytest.raises(RuntimeFailure, match="mounting storage for container"):
        Execution(played(tmp_path / "run").task_run(), equipment).run()
