"""The shell runtime: pre, main and post run one after the other as scripts on the worker's own machine.

Each gets a fresh directory and a fixed environment, and leaves neither processes nor files. Nothing of the worker's
environment but PATH and HOME is passed on.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from tork.errors import RuntimeFailure, TaskTimedOut
from tork.task import AuxTask, TaskDefinition
from torkd.runtime.failure_text import failure_text, step_title
from torkd.runtime.guard import Guard
from torkd.runtime.identity import Identity
from torkd.runtime.process import Exit, TaskProcess
from torkd.runtime.protocol import TaskRun
from torkd.runtime.time_limit import timeout_seconds
from torkd.runtime.wake_pipe import WakePipe
from torkd.runtime.work_area import WorkArea, reap_leftovers
from torkd.runtime.work_directory import WorkDirectory, check_file_name

UNCHANGED = "-"
_INHERITED = ("PATH", "HOME")


@dataclass(frozen=True, kw_only=True)
class ShellOptions:
    """The settings of the shell runtime."""

    node_id: str
    command: tuple[str, ...] = ("bash", "-c")
    """What runs a script; its path is appended."""
    uid: str = UNCHANGED
    gid: str = UNCHANGED
    temp_dir: Path = Path("/tmp")  # noqa: S108 -- the documented default; directories in it are made with mkdtemp
    grace_seconds: float = 10.0
    """Between TERM and KILL."""


@dataclass(frozen=True)
class _Step:
    """One of pre, main and post. `title` names it in errors; the main one needs none."""

    title: str
    task: TaskDefinition | AuxTask
    time_limit: float | None = None
    report_progress: Callable[[float], None] | None = None


class ShellRuntime:
    """Executes tasks as scripts. What a killed daemon left behind is removed when this is made."""

    def __init__(self, options: ShellOptions, environ: Mapping[str, str] = os.environ) -> None:
        self._options = options
        self._identity = Identity(_read_id("uid", options.uid), _read_id("gid", options.gid))
        self._environ = {name: environ[name] for name in _INHERITED if name in environ}
        self._program = shutil.which(options.command[0], path=environ.get("PATH"))
        reap_leftovers(options.temp_dir)
        self._area = WorkArea(options.temp_dir, options.node_id, self._identity)
        self._guard = Guard(self._area.path)

    def run(self, run: TaskRun) -> str:
        """Run pre, main and post. A step that fails ends the task: the later ones don't run."""
        definition = run.definition
        refuse_container_keys(definition)
        steps = list(_steps(run))
        for step in steps:
            for name in step.task.files:
                check_file_name(name)
        result = ""
        with WakePipe(run.stop) as wake:
            for step in steps:
                if run.stop.is_set():
                    raise run.stop.error()
                output = self._run_step(run, step, wake)
                if step.task is definition:
                    result = output
        return result

    def resumable(self) -> Collection[str]:
        """None: scripts end with the daemon."""
        return ()

    def check_health(self) -> None:
        """Fails when scripts can't be started at all."""
        command = self._options.command[0]
        if self._program is None:
            raise RuntimeFailure(f"'{command}' is not on the PATH (right would be a program; see runtime.shell.cmd)")
        try:
            flags = os.statvfs(self._area.path).f_flag
        except OSError as error:
            raise RuntimeFailure(f"the work directory {self._area.path} is gone: {error.strerror}") from error
        if flags & getattr(os, "ST_NOEXEC", 0):
            raise RuntimeFailure(
                f"{self._options.temp_dir} is mounted noexec, so no script can run there "
                "(right would be another mounts.temp.dir)"
            )

    def close(self) -> None:
        """Remove the work directories."""
        self._guard.close()
        self._area.close()

    def _run_step(self, run: TaskRun, step: _Step, wake: WakePipe) -> str:
        try:
            directory = WorkDirectory(self._area, step.task.run, step.task.files, self._identity)
        except OSError as error:
            raise RuntimeFailure(f"no work directory can be made in {self._area.path}: {error.strerror}") from error
        try:
            exit_ = self._execute(run, step, directory, wake)
            if step.report_progress is not None:
                _report_progress(directory, step.report_progress)
            if exit_.timed_out:
                raise TaskTimedOut(f"{step.title} timed out after {step.task.timeout}")
            if exit_.was_stopped:
                raise run.stop.error()
            if exit_.code != 0:
                raise RuntimeFailure(_failure_text(exit_, step.title))
            return directory.read_result()
        finally:
            directory.leave()

    def _execute(self, run: TaskRun, step: _Step, directory: WorkDirectory, wake: WakePipe) -> Exit:
        process = self._start(step, directory)
        sink = run.log.stream()
        report = step.report_progress
        try:
            return process.supervise(
                sink,
                wake_fd=wake.fd,
                grace_seconds=self._options.grace_seconds,
                time_limit=step.time_limit,
                on_tick=lambda: _report_progress(directory, report) if report is not None else None,
            )
        finally:
            sink.close()

    def _start(self, step: _Step, directory: WorkDirectory) -> TaskProcess:
        command = self._options.command
        script = shlex.quote(directory.script) if command[-1] == "-c" else directory.script
        env = {
            **self._environ,
            **step.task.env,
            "WORKDIR": directory.path,
            "TORK_OUTPUT": directory.output,
            "TORK_PROGRESS": directory.progress,
        }
        try:
            return TaskProcess(
                (self._program or command[0], *command[1:], script),
                directory=Path(directory.path),
                env=env,
                identity=self._identity,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise RuntimeFailure(f"{command[0]} can't be started: {error}") from error


def refuse_container_keys(definition: TaskDefinition) -> None:
    """Raise `RuntimeFailure` when the task asks for something only containers can give."""
    limits = definition.limits
    asked = {
        "mounts are": definition.mounts,
        "entrypoint is": definition.entrypoint,
        "image is": definition.image,
        "limits are": limits is not None and (limits.cpus or limits.memory),
        "networks are": definition.networks,
        "registry is": definition.registry,
        "cmd is": definition.cmd,
        "sidecars are": definition.sidecars,
    }
    for what, value in asked.items():
        if value:
            raise RuntimeFailure(f"{what} not supported on shell runtime")


def _failure_text(exit_: Exit, title: str) -> str:
    """A signal counts as 128 + its number, as shells say it, and is named."""
    if exit_.code < 0:
        return failure_text(128 - exit_.code, title, exit_.tail, [f"killed by {_signal_name(-exit_.code)}"])
    return failure_text(exit_.code, title, exit_.tail)


def _steps(run: TaskRun) -> list[_Step]:
    definition = run.definition
    return [
        *(_aux_step("pre", task) for task in definition.pre),
        _Step("", definition, report_progress=run.report_progress),
        *(_aux_step("post", task) for task in definition.post),
    ]


def _aux_step(kind: str, task: AuxTask) -> _Step:
    return _Step(step_title(kind, task.name), task, timeout_seconds(task.timeout))


def _report_progress(directory: WorkDirectory, report: Callable[[float], None]) -> None:
    progress = directory.read_progress()
    if progress is not None:
        report(progress)


def _read_id(name: str, text: str) -> int | None:
    if text in {"", UNCHANGED}:
        return None
    if not (text.isascii() and text.isdigit()):
        raise RuntimeFailure(f"runtime.shell.{name}: '{text}' is not an id (right would be a number, or '-')")
    return int(text)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
