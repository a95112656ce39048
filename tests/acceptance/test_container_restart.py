"""A daemon that dies or restarts takes its containers up again: the task runs once, and its log is whole and once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.engines import ContainerEngine
from tests.support.gates import Gate
from tests.support.waiting import wait_until


def a_job(gate: Gate) -> dict[str, Any]:
    """Its task prints until the gate is open; the result is how many lines, and the hosts on which it ran."""
    return {
        "name": "goes on",
        "output": "{{ tasks.said }}",
        "tasks": [
            {
                "name": "prints",
                "image": "bb",
                "var": "said",
                "mounts": [
                    {"type": "volume", "target": "/data"},
                    {"type": "bind", "source": str(gate.path.parent), "target": "/gate"},
                ],
                "sidecars": [{"name": "beside", "image": "bb", "run": "echo beside; sleep 600"}],
                "pre": [{"name": "before", "image": "bb", "run": "echo before; echo made before > /data/made"}],
                "post": [{"name": "after", "image": "bb", "run": "cat /data/made"}],
                "run": "hostname >> /data/hosts\nn=0\n"
                f"while [ ! -e /gate/{gate.path.name} ]; do echo out $n; echo err $n >&2; n=$((n + 1)); sleep 0.1; done\n"
                "echo $n $(cat /data/hosts) > $TORK_OUTPUT",
            }
        ],
    }


def printed(daemon: Daemon, job_id: str, stream: str) -> list[str]:
    """The lines of its log that begin so."""
    return [line for line in daemon.log_text(job_id).splitlines() if line.startswith(f"{stream} ")]


def _kill_the_server(daemon: Daemon) -> None:
    for process in daemon.children("server"):
        process.kill()


def _kill_everything(daemon: Daemon) -> None:
    daemon.kill()
    daemon.start()


def _kill_the_parent(daemon: Daemon) -> None:
    """The process that was started, as an operator or systemd would; the rest ends by itself."""
    daemon.process.kill()
    daemon.process.wait(timeout=10)
    wait_until(lambda: not daemon.processes(), timeout=30, describe=lambda: str(daemon.processes()))
    daemon.start()


def _kill_the_parent_and_start_at_once(daemon: Daemon) -> None:
    """Its child is still there, and has the node id on which the container runs."""
    daemon.process.kill()
    daemon.process.wait(timeout=10)
    daemon.start()


def _restart(daemon: Daemon) -> None:
    assert daemon.stop(signal.SIGTERM) == 0
    daemon.start()


@pytest.mark.parametrize(
    "harm",
    [_kill_the_server, _kill_the_parent, _kill_the_parent_and_start_at_once, _kill_everything, _restart],
    ids=["server", "parent", "parent, started at once", "everything", "TERM"],
)
def test_a_container_goes_on_through_a_restart_of_the_daemon(
    container_engine: ContainerEngine, harm: Callable[[Daemon], None], tmp_path: Path
) -> None:
    gate = Gate(tmp_path / "gate")
    binds = {"TORK_MOUNTS_BIND_ALLOWED": "true", "TORK_MOUNTS_BIND_SOURCES": str(tmp_path)}
    drain = {"TORK_WORKER_DRAIN": "0s"} if harm is _restart else {}
    with Daemon({**container_engine.settings, **binds, **drain}) as daemon:
        job_id = daemon.submit(a_job(gate))
        wait_until(lambda: len(printed(daemon, job_id, "out")) > 5, timeout=30, describe=daemon.told)
        harm(daemon)
        wait_until(daemon.is_up, timeout=30, describe=daemon.told)
        before = len(printed(daemon, job_id, "out"))
        wait_until(lambda: len(printed(daemon, job_id, "out")) > before + 5, timeout=30, describe=daemon.told)
        gate.open()
        job = daemon.wait(job_id, within=60)

        assert job["state"] == "COMPLETED", job
        (task,) = job["execution"]
        assert "redelivered" not in task
        count, *hosts = job["result"].split()
        assert len(hosts) == 1, f"it ran in more than one container: {hosts}"
        wait_until(lambda: "made before\n" in daemon.log_text(job_id))
        lines = daemon.log_text(job_id).splitlines()
        assert [line for line in lines if line.startswith("out ")] == [f"out {n}" for n in range(int(count))]
        assert [line for line in lines if line.startswith("err ")] == [f"err {n}" for n in range(int(count))]
        assert [line for line in lines if line[:3] not in {"out", "err"}] == ["before", "beside", "made before"]
        wait_until(lambda: not container_engine.api.left_with(f"torkd.job={job_id}"))
