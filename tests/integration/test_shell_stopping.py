"""Nothing of a task outlives it: however it ends, and however its processes try to stay."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.guards import kill_with_its_guard
from tests.support.runs import RecordedRun
from tests.support.waiting import wait_until
from tork.errors import RuntimeFailure
from tork.task import TaskDefinition
from torkd.runtime.shell import ShellOptions, ShellRuntime
from torkd.runtime.stopping import StopReason


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[ShellRuntime]:
    made = ShellRuntime(ShellOptions(node_id="n1", temp_dir=tmp_path, grace_seconds=0.5))
    yield made
    made.close()
    assert list(tmp_path.glob("torkd-*")) == []


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def pids_in(text: str) -> list[int]:
    return [int(line.split()[1]) for line in text.splitlines() if line.startswith("pid ")]


class Started:
    """A run in a thread of its own."""

    def __init__(self, runtime: ShellRuntime, script: str) -> None:
        self.recorded = RecordedRun(TaskDefinition(name="x", run=script))
        self.error: RuntimeFailure | None = None
        self._runtime = runtime
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._runtime.run(self.recorded.run)
        except RuntimeFailure as error:
            self.error = error

    def wait_for_pids(self, count: int) -> list[int]:
        wait_until(lambda: len(pids_in(self.recorded.log.text)) == count)
        return pids_in(self.recorded.log.text)

    def stop(self) -> str:
        self.recorded.stop.set(StopReason.CANCELLED, "stopped")
        self._thread.join(20)
        assert not self._thread.is_alive()
        return str(self.error)


STAYS = "echo pid $BASHPID; exec sleep 300"


@pytest.mark.parametrize(
    "script",
    [
        f"( {STAYS} ) & wait",
        "( trap '' TERM; echo pid $BASHPID; while :; do sleep 300; done ) & wait",
        f"trap '' TERM; ( {STAYS} ) & while :; do sleep 300; done",
        f"set -m; ( {STAYS} ) & wait",
        f"setsid bash -c '{STAYS}' & sleep 300",
        f"( setsid bash -c '{STAYS}' & ) ; sleep 300",
        "( exec -a stopped bash -c 'echo pid $$; kill -STOP $$; sleep 300' ) & wait",
    ],
    ids=[
        "child",
        "child that ignores TERM",
        "script that ignores TERM",
        "group of its own",
        "session of its own",
        "daemon",
        "stopped process",
    ],
)
def test_stopping_ends_everything_the_script_started(runtime: ShellRuntime, script: str) -> None:
    started = Started(runtime, script)
    (pid,) = started.wait_for_pids(1)
    assert started.stop() == "stopped"
    wait_until(lambda: not is_alive(pid))  # a killed process closes its files a moment before it is gone


@pytest.mark.parametrize(
    "child",
    [
        f"( {STAYS} ) &",
        f"( {STAYS} ) >>$WORKDIR/../pids 2>&1 &",
        f"setsid bash -c '{STAYS}' &",
        f"setsid bash -c '{STAYS}' >>$WORKDIR/../pids 2>&1 &",
        f"set -m; ( {STAYS} ) >>$WORKDIR/../pids 2>&1 &",
    ],
    ids=["in the group", "in the group, redirected", "detached", "detached, redirected", "own group, redirected"],
)
def test_what_a_finished_script_left_in_the_background_is_ended(
    runtime: ShellRuntime, tmp_path: Path, child: str
) -> None:
    (area,) = tmp_path.glob("torkd-*")
    pids = area / "pids"
    pids.touch()
    ready = f"while ! grep -q pid {pids} ; do sleep 0.01; [ $((i++)) -lt 20 ] || break; done"
    recorded = RecordedRun(TaskDefinition(run=f"{child}\ni=0; {ready}; echo done > $TORK_OUTPUT"))
    assert runtime.run(recorded.run) == "done\n"
    (pid,) = pids_in(recorded.log.text + pids.read_text())
    wait_until(lambda: not is_alive(pid))


def test_a_script_has_the_grace_to_clean_up(runtime: ShellRuntime) -> None:
    started = Started(runtime, "trap 'echo cleaned; exit 0' TERM; echo pid $$; while :; do sleep 0.05; done")
    started.wait_for_pids(1)
    assert started.stop() == "stopped"
    assert started.recorded.log.text.endswith("cleaned\n")


def test_a_script_that_is_suspended_can_clean_up_too(runtime: ShellRuntime) -> None:
    started = Started(
        runtime, "trap 'echo cleaned; exit 0' TERM; echo pid $$; kill -STOP $$; while :; do sleep 0.05; done"
    )
    (pid,) = started.wait_for_pids(1)
    wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    assert started.stop() == "stopped"
    assert started.recorded.log.text.endswith("cleaned\n")


def test_a_process_in_a_group_of_its_own_is_asked_to_end_too(tmp_path: Path) -> None:
    patient = ShellRuntime(ShellOptions(node_id="n1", temp_dir=tmp_path, grace_seconds=300.0))
    started = Started(
        patient, "timeout 300 bash -c 'trap \"echo cleaned; exit\" TERM; echo pid $$; while :; do sleep 0.05; done'"
    )
    started.wait_for_pids(1)
    assert started.stop() == "stopped"
    assert "cleaned" in started.recorded.log.text
    patient.close()


def test_children_have_the_grace_too_when_the_script_ends_before_them(runtime: ShellRuntime) -> None:
    child = "trap 'sleep 0.1; echo cleaned; exit 0' TERM; echo pid $BASHPID; while :; do sleep 0.02; done"
    started = Started(runtime, f"( {child} ) & wait")
    started.wait_for_pids(1)
    assert started.stop() == "stopped"
    assert "cleaned" in started.recorded.log.text


def test_a_task_that_floods_its_log_can_be_stopped(runtime: ShellRuntime) -> None:
    started = Started(runtime, "echo pid $$; yes")
    started.wait_for_pids(1)
    assert started.stop() == "stopped"


def test_a_log_that_can_not_be_written_ends_the_script(runtime: ShellRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = RecordedRun(TaskDefinition(run=f"echo pid $$; {STAYS}"))
    seen: list[bytes] = []

    def fail(data: bytes) -> None:
        seen.append(data)
        raise ZeroDivisionError("no")

    monkeypatch.setattr(recorded.log, "write", fail)
    with pytest.raises(ZeroDivisionError):
        runtime.run(recorded.run)
    wait_until(lambda: not any(is_alive(pid) for pid in pids_in(seen[0].decode())))


def test_work_directories_are_empty_for_the_next_step(runtime: ShellRuntime, tmp_path: Path) -> None:
    for mess in ("mkdir -p a/b; touch a/b/c .hidden", "chmod 777 .", "mkdir x; chmod 000 x", "rm -rf $WORKDIR"):
        runtime.run(RecordedRun(TaskDefinition(run=mess)).run)
        recorded = RecordedRun(TaskDefinition(run="ls -A; stat -c %a ."))
        runtime.run(recorded.run)
        assert recorded.log.text == "entrypoint\nprogress\nstdout\n700\n"


def test_no_descriptor_is_left_open(runtime: ShellRuntime) -> None:
    runtime.run(RecordedRun(TaskDefinition(run="true")).run)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        runtime.run(RecordedRun(TaskDefinition(run="echo hi")).run)
        with pytest.raises(RuntimeFailure):
            runtime.run(RecordedRun(TaskDefinition(run="true", env={"A=": "x"})).run)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_scripts_of_many_slots_are_never_busy_files(runtime: ShellRuntime) -> None:
    failures: list[str] = []

    def work() -> None:
        for _ in range(60):
            try:
                runtime.run(RecordedRun(TaskDefinition(run="true")).run)
            except RuntimeFailure as failure:
                failures.append(str(failure))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


A_DAEMON = """
import sys, threading
from pathlib import Path
from tests.support.runs import RecordedRun
from tork.task import TaskDefinition
from torkd.runtime.shell import ShellOptions, ShellRuntime
runtime = ShellRuntime(ShellOptions(node_id="n1", temp_dir=Path(sys.argv[1])))
runtime.run(RecordedRun(TaskDefinition(run=sys.argv[2])).run)
"""


def test_the_directories_of_other_programs_and_other_daemons_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "torkd-work-file").touch()
    for name in ("something-else", "torkd-data", "torkd-work-by-hand"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, 0))
    first = ShellRuntime(ShellOptions(node_id="n1", temp_dir=tmp_path))
    second = ShellRuntime(ShellOptions(node_id="n1", temp_dir=tmp_path))
    first.run(RecordedRun(TaskDefinition(run="true")).run)
    second.close()
    first.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "something-else",
        "torkd-data",
        "torkd-work-by-hand",
        "torkd-work-file",
    ]


def test_what_a_killed_daemon_left_is_ended_before_the_next_one_starts(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = (
        f"exec >>{pids}; ( {STAYS} ) & setsid bash -c '{STAYS}' & env -i sleep 301 & echo pid $! ; echo pid $$; wait"
    )
    daemon = subprocess.Popen([sys.executable, "-c", A_DAEMON, str(tmp_path), script], cwd=Path(__file__).parents[2])
    try:
        wait_until(lambda: pids.exists() and len(pids_in(pids.read_text())) == 4)
        living = ShellRuntime(ShellOptions(node_id="n2", temp_dir=tmp_path))
        assert all(is_alive(pid) for pid in pids_in(pids.read_text())), (
            "the tasks of a daemon that lives are left alone"
        )
        living.close()
    finally:
        kill_with_its_guard(daemon.pid)
        daemon.wait()
    assert any(is_alive(pid) for pid in pids_in(pids.read_text()))
    runtime = ShellRuntime(ShellOptions(node_id="n1", temp_dir=tmp_path))
    wait_until(lambda: not any(is_alive(pid) for pid in pids_in(pids.read_text())))
    assert len(list(tmp_path.glob("torkd-*"))) == 1
    runtime.close()
