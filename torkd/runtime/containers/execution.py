"""One run of a task in containers: its network and mounts, then pre, main and post one after the other, then nothing.

Every name follows from the run's id, so what was begun can be undone, or taken up by a successor, without having been told.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tork.errors import RunLeft, RuntimeFailure, TaskTimedOut
from tork.task import AuxTask, TaskDefinition
from torkd.runtime.containers.container_config import Share, check_share
from torkd.runtime.containers.engine import EngineError, EngineUnavailable, ResourceMissing, Standing
from torkd.runtime.containers.equipment import Equipment
from torkd.runtime.containers.mounts import Mounts
from torkd.runtime.containers.networks import (
    Networks,
    choose_networks,
    create_private_network,
    network_name,
    remove_private_network,
)
from torkd.runtime.containers.reaper import RUN_LABEL
from torkd.runtime.containers.refusals import NO_SHELL
from torkd.runtime.containers.sidecars import SIDECAR, Sidecars
from torkd.runtime.containers.step import Place, StepContainer
from torkd.runtime.containers.tork_place import BoundPlace
from torkd.runtime.containers.watch import KILLED, Watch
from torkd.runtime.failure_text import failure_text, step_title
from torkd.runtime.process import TICK_SECONDS
from torkd.runtime.protocol import TaskRun
from torkd.runtime.stopping import StopReason
from torkd.runtime.time_limit import timeout_seconds
from torkd.runtime.work_directory import check_file_name

MAIN = "main"
_FRESH_SECONDS = 1.0
"""How long an engine that was there is taken to be there."""
_LOOK_SECONDS = 0.25
"""How often an engine that is away is looked for."""
_NO_SHELL_WORDS = re.compile(rb"exec sh failed|failed to exec pid1")
"""What the init processes of the engines say, and nobody else, when the image lacks sh."""
_RESULT = "result"
"""The main step's output, while steps after it run."""
_COPIED_TICK_SECONDS = 5.0
"""How often progress is read when that takes a copy."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Step:
    name: str
    title: str
    task: TaskDefinition | AuxTask
    time_limit: float | None = None

    @property
    def is_main(self) -> bool:
        return self.name == MAIN


class Execution:
    """Call `run` once."""

    def __init__(self, run: TaskRun, equipment: Equipment) -> None:
        self._run, self._equipment = run, equipment
        self._steps = list(_steps(run.definition))
        self._has_network = False
        self._is_untouched = run.resumed
        """Whether all is still as a worker of before left it."""

    def run(self) -> str:
        """See it through; the main step's output. Raises `RuntimeFailure`."""
        self._check()
        directory = self._run.keep()
        mounts = Mounts(self._run, self._equipment.engine, self._equipment.mount_rules)
        try:
            self._await_engine()
            place = self._prepare(directory, mounts)
            result = self._run_steps(place)
        except RunLeft:
            raise
        except BaseException as error:
            if self._is_untouched and self._run.stop.reason is StopReason.LEFT:
                raise RunLeft("the worker shut down before it took the run up") from error
            if self._run.resumed:
                self._remove_standing()
            self._clean(mounts)
            raise
        self._clean(mounts)
        self._equipment.answered_at = time.monotonic()
        return result

    def _check(self) -> None:
        """Everything that can be known before anything is made."""
        for step in self._steps:
            if not step.task.image:
                what = step.title or "task"
                raise RuntimeFailure(
                    f"{what} image is required (right would be an image; tasks that have none at all run in the shell "
                    "with runtime.type 'auto' or 'shell')"
                )
            for name in step.task.files:
                check_file_name(name)
        check_share(self._run.definition, self._equipment.differences)

    def _await_engine(self) -> None:
        """An engine that is being restarted fails nobody who has not begun."""
        if time.monotonic() - self._equipment.answered_at < _FRESH_SECONDS:
            return
        deadline = time.monotonic() + self._equipment.options.patience_seconds
        is_told = False
        while True:
            try:
                self._equipment.engine.ping()
                return
            except EngineUnavailable as error:
                if time.monotonic() >= deadline:
                    raise
                if not is_told:
                    self._tell(f"Waiting for an engine: {error}")
                    is_told = True
            if self._run.stop.wait(_LOOK_SECONDS):
                raise self._run.stop.error()

    def _tell(self, line: str) -> None:
        stream = self._run.log.stream()
        stream.write(f"{line}\n".encode())
        stream.close()

    def _prepare(self, directory: Path, mounts: Mounts) -> Place:
        run, equipment = self._run, self._equipment
        equipment.check_directory(directory)
        networks = self._make_networks()
        mounts.mount_all(resumed=run.resumed)
        share = Share(
            labels=run.labels,
            mounts=mounts.entries,
            limits=run.definition.limits,
            gpus=run.definition.gpus,
            privileged=equipment.options.privileged,
            differences=equipment.differences,
        )
        return Place(run=run, directory=directory, share=share, networks=networks, equipment=equipment)

    def _make_networks(self) -> Networks:
        run, engine = self._run, self._equipment.engine
        private = network_name(run.run_id) if run.definition.sidecars else None
        networks = choose_networks(
            run.definition.networks, self._equipment.network_rules, engine_name=engine.name, private=private
        )
        if private is not None and private in networks.names:
            self._has_network = True
            create_private_network(engine, private, run.labels)
        return networks

    def _run_steps(self, place: Place) -> str:
        run = self._run
        standing = self._find_standing() if run.resumed else {}
        result = _saved_result(place.directory) if run.resumed else ""
        for step in self._steps_to_go(standing):
            if run.stop.is_set():
                raise run.stop.error()
            self._is_untouched = False
            execution = _StepRun(place, step, standing)
            output = execution.run()
            try:
                if step.is_main:
                    result = output
                if step is self._steps[-1]:
                    run.settle(result)
                elif step.is_main:
                    _save_result(place.directory, result)
            finally:
                execution.remove()
        return result

    def _find_standing(self) -> dict[str, Standing]:
        """What a worker of before left: its containers by the names of their steps."""
        engine = self._equipment.engine
        prefix = f"torkd-{self._run.run_id}-"
        names = [one.name for one in engine.list_containers([f"{RUN_LABEL}={self._run.run_id}"])]
        return {
            name.removeprefix(prefix): engine.inspect_container(name).standing
            for name in names
            if name.startswith(prefix)
        }

    def _steps_to_go(self, standing: dict[str, Standing]) -> list[_Step]:
        for index, step in enumerate(self._steps):
            if step.name in standing:
                return self._steps[index:]
        if self._run.resumed:  # what it did can't be known, and nothing may be done twice
            raise RuntimeFailure("the task's container is gone, and with it how the task ended")
        return self._steps

    def _remove_standing(self) -> None:
        """Nothing of a run that can't be taken up goes on or stays, whether it was looked at or not."""
        engine, labels = self._equipment.engine, [f"{RUN_LABEL}={self._run.run_id}"]
        try:
            for container in engine.list_containers(labels):
                engine.remove_container(container.name)
            for volume in engine.list_volumes(labels):
                engine.remove_volume(volume.name)
            for network in engine.list_networks(labels):
                engine.remove_network(network.name)
        except EngineError as error:
            _LOG.warning("what stands of run %s is left to the reaper: %s", self._run.run_id, error)
            self._equipment.has_leftovers.set()

    def _clean(self, mounts: Mounts) -> None:
        mounts.unmount_all()
        if self._has_network:
            remove_private_network(self._equipment.engine, network_name(self._run.run_id))


class _StepRun:
    """One step from its creation, or from where a worker of before left it, to its end."""

    def __init__(self, place: Place, step: _Step, standing: dict[str, Standing]) -> None:
        self._place, self._step, self._run = place, step, place.run
        self._container = StepContainer(place, step.name, step.task, workdir=_workdir(step.task))
        self._sidecars = Sidecars(place) if step.is_main else None
        self._standing = standing

    def run(self) -> str:
        """Its output. Its container stays until `remove` is called, or it fails."""
        try:
            self._begin()
            self._supervise()
            output = self._container.read_result() if self._step.is_main else ""
        except RunLeft:
            raise
        except BaseException as error:
            try:
                self._remove_sidecars()
                self._container.leave()  # nothing may be printed once it is settled
                if isinstance(error, RuntimeFailure):
                    self._run.settle(error)
            finally:
                self.remove()
            raise
        self._remove_sidecars()
        return output

    def remove(self) -> None:
        """Nothing of it stays."""
        self._container.remove()

    def _remove_sidecars(self) -> None:
        if self._sidecars is not None:
            self._sidecars.remove()

    def _begin(self) -> None:
        standing = self._standing.get(self._step.name)
        if standing is not None and standing is not Standing.CREATED:
            self._container.take_up()
            if self._sidecars is not None:
                self._sidecars.take_up(
                    {name for name, state in self._standing.items() if state is not Standing.CREATED}
                )
            return
        if self._run.resumed:
            self._forget_attempt()
        self._container.create()
        if self._sidecars is not None:
            self._sidecars.start()
        if self._run.stop.is_set():
            raise self._run.stop.error()
        self._container.start()

    def _forget_attempt(self) -> None:
        """What a worker of before made of this step and never started."""
        engine = self._place.equipment.engine
        names = [
            self._step.name,
            *(name for name in self._standing if self._step.is_main and name.startswith(SIDECAR)),
        ]
        for name in names:
            engine.remove_container(f"torkd-{self._run.run_id}-{name}")
            BoundPlace(self._place.directory / name).remove()

    def _supervise(self) -> None:
        watch = self._container.watch
        assert watch is not None
        limit = self._step.time_limit
        deadline = time.monotonic() + limit if limit is not None else None
        wake = threading.Event()
        self._run.stop.on_set(wake.set)
        watch.call_at_end(wake.set)
        ticks = self._ticks()
        while not watch.is_over:
            if self._run.stop.is_set():
                self._end_early()
                raise self._run.stop.error()
            if deadline is not None and time.monotonic() >= deadline:
                self._container.stop(self._place.equipment.options.grace_seconds)
                raise TaskTimedOut(f"{self._step.title or 'task'} timed out after {self._step.task.timeout}")
            pause = next(ticks)
            wake.wait(pause if deadline is None else min(pause, max(deadline - time.monotonic(), 0.0)))
        self._tell_progress()
        self._check_ending(watch)

    def _ticks(self) -> Iterator[float]:
        """How long to wait until the next look; the progress is told meanwhile."""
        while True:
            yield TICK_SECONDS if isinstance(self._container.tork, BoundPlace) else _COPIED_TICK_SECONDS
            self._tell_progress()

    def _tell_progress(self) -> None:
        if self._step.is_main and (progress := self._container.read_progress()) is not None:
            self._run.report_progress(progress)

    def _end_early(self) -> None:
        if self._run.stop.reason is StopReason.LEFT:
            self._container.leave()
            if self._sidecars is not None:
                self._sidecars.leave()
            raise RunLeft("the worker shut down and left its container to its successor")
        self._container.stop(self._place.equipment.options.grace_seconds)

    def _check_ending(self, watch: Watch) -> None:
        if watch.error is not None:
            raise _loss(watch.error) from watch.error
        ending = watch.ending
        assert ending is not None
        if ending.code == 0:
            return
        notes = []
        if ending.was_interrupted:
            notes.append("the container engine was away while the task ran, and may have ended it")
        if _NO_SHELL_WORDS.search(watch.tail):
            notes.append(NO_SHELL)
        memory = self._run.definition.limits.memory if self._run.definition.limits else ""
        if ending.ran_out_of_memory:
            notes.append(f"out of memory{f': limits.memory is {memory}' if memory else ''}")
        elif memory and ending.code == KILLED and not ending.was_interrupted:
            # Podman never tells, and Docker misses one in some: it hears of the memory and of the end on two ways.
            notes.append(f"killed, perhaps out of memory: limits.memory is {memory}")
        raise RuntimeFailure(failure_text(ending.code, self._step.title, watch.tail, notes))


def _steps(definition: TaskDefinition) -> Iterator[_Step]:
    for index, task in enumerate(definition.pre):
        yield _Step(f"pre-{index}", step_title("pre", task.name), task, timeout_seconds(task.timeout))
    yield _Step(MAIN, "", definition)
    for index, task in enumerate(definition.post):
        yield _Step(f"post-{index}", step_title("post", task.name), task, timeout_seconds(task.timeout))


def _workdir(task: TaskDefinition | AuxTask) -> str:
    return task.workdir if isinstance(task, TaskDefinition) else ""


def _loss(error: EngineError) -> RuntimeFailure:
    """How a container ended can't be known."""
    match error:
        case EngineUnavailable():
            return RuntimeFailure(
                f"the container engine was lost while the task ran: {error} (what is left of it is removed later)"
            )
        case ResourceMissing():
            return RuntimeFailure(f"the container was removed by somebody else while the task ran: {error}")
        case _:
            return RuntimeFailure(f"the container could not be watched to its end: {error}")


def _save_result(directory: Path, result: str) -> None:
    try:
        (directory / _RESULT).write_text(result, encoding="utf-8", newline="")
    except OSError as error:
        raise RuntimeFailure(f"the result can't be kept in {directory}: {error.strerror}") from error


def _saved_result(directory: Path) -> str:
    try:
        return (directory / _RESULT).read_bytes().decode()
    except FileNotFoundError:
        return ""
