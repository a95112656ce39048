"""Processes that own an embedded server, for tests that kill them; and what is still running of one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import platformdirs
import psutil
import psycopg

from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("embedded_starter.py")
DEADLINE_SECONDS = 60.0


class Starter:
    """A process that started a server, or was refused: `error` is then its sentence."""

    def __init__(self, base: Path, mode: str = "", *, user: int | None = None) -> None:
        """Return at once: `answer` waits. `user` needs root, and an interpreter that user may run."""
        places = (ROOT, ROOT / "shared", Path(platformdirs.__file__).parents[1])
        self.process = subprocess.Popen(
            [interpreter_for(user), str(SCRIPT), str(base), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places)), "PYTHONDONTWRITEBYTECODE": "1"},
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        self.error: str | None = None
        self.dsn = ""
        self.base = base
        self.keeper = self.child = 0

    def answer(self) -> Starter:
        assert self.process.stdout is not None
        about = json.loads(self.process.stdout.readline() or '{"error": "it ended without a word"}')
        self.error = about.get("error")
        if self.error is None:
            self.dsn, self.base = about["dsn"], Path(about["base"])
            self.keeper, self.child = about["keeper"], about["child"]
        return self

    def kill(self) -> None:
        """kill -9, and reap: a zombie would still count as alive."""
        self.process.kill()
        self.process.communicate()

    def stop(self) -> int:
        """Let it stop its server, and return its exit code."""
        self.process.communicate(timeout=DEADLINE_SECONDS)
        return self.process.returncode


def interpreter_for(user: int | None) -> str:
    """This interpreter, or the system's where that user may not enter this one's directory."""
    for program in (sys.executable, "/usr/bin/python3"):
        with suppress(OSError):
            if user is None or subprocess.run([program, "-c", ""], user=user, check=False).returncode == 0:
                return program
    raise AssertionError(f"user {user} may run no Python here: install the system's python3 (3.11 or newer)")


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until the condition holds; the deadline is only for what never happens."""
    wait_until(condition, timeout=DEADLINE_SECONDS, describe=lambda: what)


def processes_of(base: Path) -> list[psutil.Process]:
    """Keeper, server and sessions of `base`, by their arguments and working directories."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and (
                process.cwd().startswith(f"{base}/") or any(part.startswith(f"{base}/") for part in process.cmdline())
            ):
                found.append(process)
    return found


def kill_all(base: Path) -> None:
    """kill -9 of whatever `base` has: some of it ends by itself once the rest is gone."""
    for process in processes_of(base):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def server_pid(base: Path) -> int:
    """The server's process id, or 0 when there is none now."""
    try:
        return int((base / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, IndexError):
        return 0


def answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError:
        return False
    return True


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def make_table(dsn: str) -> None:
    """Store a row."""
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept (value int)")
        connection.execute("INSERT INTO kept VALUES (42)")


def kept(dsn: str) -> list[tuple[int]]:
    """The row, if it is still there."""
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT value FROM kept").fetchall()
