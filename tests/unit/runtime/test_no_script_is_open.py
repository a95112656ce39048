from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import RecordedRun
from tork.task import TaskDefinition
from torkd.runtime.process import NO_SCRIPT_IS_OPEN
from torkd.runtime.shell import ShellOptions, ShellRuntime
from torkd.runtime.survivors import signal_holders_of


def test_scripts_are_written_and_processes_started_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise running a script fails with "text file busy" now and then."""
    guarded: dict[str, bool] = {}
    really_open, really_start = os.open, subprocess.Popen

    def watched_open(path: Any, flags: int, *rest: Any) -> int:
        if str(path).endswith("entrypoint"):
            guarded["write"] = NO_SCRIPT_IS_OPEN.locked()
        return really_open(path, flags, *rest)

    def watched_start(*args: Any, **options: Any) -> Any:
        guarded["start"] = NO_SCRIPT_IS_OPEN.locked()
        return really_start(*args, **options)

    runtime = ShellRuntime(ShellOptions(node_id="n1", temp_dir=tmp_path))
    monkeypatch.setattr(os, "open", watched_open)
    monkeypatch.setattr(subprocess, "Popen", watched_start)
    runtime.run(RecordedRun(TaskDefinition(run="true")).run)
    monkeypatch.undo()
    runtime.close()
    assert guarded == {"write": True, "start": True}


def test_no_process_is_being_started_when_what_a_script_left_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another task's process has this one's lifeline open until it runs its program, and would be killed with the rest."""
    guarded: list[bool] = []

    def watched_signal(*args: Any, **options: Any) -> None:
        guarded.append(NO_SCRIPT_IS_OPEN.locked())
        signal_holders_of(*args, **options)

    monkeypatch.setattr("torkd.runtime.process.signal_holders_of", watched_signal)
    runtime = ShellRuntime(ShellOptions(node_id="n1", temp_dir=tmp_path))
    script = "setsid sh -c 'touch out; sleep 60' & while [ ! -e out ]; do sleep 0.01; done"
    runtime.run(RecordedRun(TaskDefinition(run=script)).run)
    runtime.close()
    assert guarded
    assert all(guarded)
