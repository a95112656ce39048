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
