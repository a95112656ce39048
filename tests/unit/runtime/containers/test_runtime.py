"""The runtime as a worker has it: what it owns, when it looks for leftovers, and what it refuses."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.container_play import NODE, PlayedRun, ServedEngine, a_runtime, an_equipment
from tests.support.fake_containers import Behaviour
from tests.support.waiting import wait_until
from tork.errors import RuntimeFailure, TaskStopped
from tork.task import TaskDefinition
from torkd.runtime.containers import runtime as runtime_module
from torkd.runtime.containers.engine import EngineUnavailable
from torkd.runtime.stopping import StopReason

pytestmark = pytest.mark.usefixtures("quick")


def a_run(directory: Path, run_id: str = "r1") -> PlayedRun:
    directory.mkdir(parents=True, exist_ok=True)
    return PlayedRun(TaskDefinition(image="bb", run="main"), directory, run_id=run_id)


def leave_behind(engine: ServedEngine, run_id: str, node: str = NODE) -> str:
    labels = {"torkd.node": node, "torkd.run": run_id, "torkd.step": "main"}
    name = f"torkd-{run_id}-main"
    engine.behaviours[name] = Behaviour(stays=True)
    engine.create_container(name, {"Image": "bb", "Labels": labels})
    engine.start_container(name)
    return name


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks again at once."""
    monkeypatch.setattr(runtime_module, "_AWAY_SECONDS", 0.005)
    monkeypatch.setattr(runtime_module, "_SOON_SECONDS", 0.005)


def test_what_was_left_before_the_first_run_is_removed_and_the_run_is_not(engine: ServedEngine, tmp_path: Path) -> None:
    leave_behind(engine, "old")
    engine.behaviours["torkd-r1-main"] = Behaviour(stays=True)
    runtime, run = a_runtime(engine, tmp_path / "mark"), a_run(tmp_path / "run")
    run.begin(runtime.run)
    wait_until(lambda: "torkd-old-main" not in engine.containers)
    wait_until(lambda: engine.count("follow_log"))
    assert "torkd-r1-main" in engine.containers
    engine.end("torkd-r1-main", 0)
    assert run.end() == ""
    runtime.close()


def test_runs_that_may_be_taken_up_are_kept_for_a_while_and_then_removed(
    engine: ServedEngine, tmp_path: Path, soon: None
) -> None:
    name = leave_behind(engine, "old")
    equipment = an_equipment(engine, gone_after_seconds=1000.0, reap_seconds=0.005)
    runtime = a_runtime(engine, tmp_path / "mark", equipment=equipment)
    assert set(runtime.resumable()) == {"old"}
    looks = engine.count("list_networks")
    wait_until(lambda: engine.count("list_networks") > looks + 3)
    assert name in engine.containers
    runtime.close()
    equipment.options = replace(equipment.options, gone_after_seconds=0.01)
    second = a_runtime(engine, tmp_path / "mark", equipment=equipment)
    assert set(second.resumable()) == {"old"}
    wait_until(lambda: name not in engine.containers)
    second.close()


def test_a_run_that_was_left_to_a_successor_is_not_removed(engine: ServedEngine, tmp_path: Path, soon: None) -> None:
    engine.behaviours["main"] = Behaviour(stays=True)
    runtime = a_runtime(engine, tmp_path / "mark", equipment=an_equipment(engine, reap_seconds=0.005))
    run = a_run(tmp_path / "run")
    run.begin(runtime.run)
    wait_until(lambda: engine.count("follow_log"))
    run.stop.set(StopReason.LEFT, "bye")
    with pytest.raises(TaskStopped):
        run.end()
    looks = engine.count("list_networks")
    wait_until(lambda: engine.count("list_networks") > looks + 3)
    assert "torkd-r1-main" in engine.containers
    runtime.close()


def test_what_a_run_could_not_remove_is_looked_for_soon(engine: ServedEngine, tmp_path: Path, soon: None) -> None:
    runtime, run = a_runtime(engine, tmp_path / "mark"), a_run(tmp_path / "run")
    engine.fail("remove_container", error=EngineUnavailable("away"))
    run.begin(runtime.run)
    assert run.end() == ""
    wait_until(lambda: not engine.leftovers())
    runtime.close()


def test_an_engine_that_is_away_when_leftovers_are_looked_for_is_asked_again(
    engine: ServedEngine, tmp_path: Path, soon: None
) -> None:
    name = leave_behind(engine, "old")
    runtime = a_runtime(engine, tmp_path / "mark")
    engine.lose()
    runtime._keep_house()
    wait_until(lambda: engine.count("list_containers") > 2)
    engine.recover()
    wait_until(lambda: name not in engine.containers)
    runtime.close()


def test_directories_of_a_dead_node_go_with_its_containers(engine: ServedEngine, tmp_path: Path, soon: None) -> None:
    name = leave_behind(engine, "old", node="dead")
    of_dead = tmp_path / "runs" / "dead" / "old" / "main"
    of_dead.mkdir(parents=True)
    equipment = an_equipment(engine, gone_after_seconds=0.0, reap_seconds=0.005, runs=tmp_path / "runs")
    runtime = a_runtime(engine, tmp_path / "mark", equipment=equipment, dead_nodes=lambda: nullcontext(["dead"]))
    runtime.resumable()
    wait_until(lambda: name not in engine.containers and not of_dead.parent.parent.exists())
    assert (tmp_path / "runs").exists()
    runtime.close()


def test_a_mark_tells_the_next_start_that_containers_were_run(engine: ServedEngine, tmp_path: Path) -> None:
    runtime, run = a_runtime(engine, tmp_path / "of" / "mark"), a_run(tmp_path / "run")
    run.begin(runtime.run)
    run.end()
    assert (tmp_path / "of" / "mark").exists()
    runtime.close()


def test_a_mark_that_can_not_be_made_costs_no_run(engine: ServedEngine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    runtime, run = a_runtime(engine, tmp_path / "file" / "mark"), a_run(tmp_path / "run")
    run.begin(runtime.run)
    assert run.end() == ""
    runtime.close()


def test_a_run_that_must_end_before_it_began_makes_no_call(engine: ServedEngine, tmp_path: Path) -> None:
    runtime, run = a_runtime(engine, tmp_path / "mark"), a_run(tmp_path / "run")
    run.stop.set(StopReason.CANCELLED, "cancelled")
    run.begin(runtime.run)
    with pytest.raises(TaskStopped, match="cancelled"):
        run.end()
    assert not engine.calls
    runtime.close()


def test_a_run_without_a_task_id_is_refused(engine: ServedEngine, tmp_path: Path) -> None:
    runtime, run = a_runtime(engine, tmp_path / "mark"), a_run(tmp_path / "run")
    with pytest.raises(RuntimeFailure, match="task id is required"):
        runtime.run(replace(run.task_run(), task_id=""))
    runtime.close()


def test_its_health_is_the_engines(engine: ServedEngine, tmp_path: Path) -> None:
    runtime = a_runtime(engine, tmp_path / "mark")
    runtime.check_health()
    engine.lose()
    with pytest.raises(EngineUnavailable):
        runtime.check_health()
    runtime.close()
