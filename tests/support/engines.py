"""Container engines and the registry for a test run: started by the first test that needs one, shared by all xdist workers.

Each server has a keeper process, which is no child of pytest: it ends the server and removes all of it when nobody holds the
lock of its directory any more. So nothing is left even when pytest is killed; what a killed keeper left is swept by the next.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.engine_api import EngineApi

PROJECT = Path(__file__).parents[2]
USERS = "users"
"""Locked, shared, by everyone who uses the server; whoever gets it alone may remove it."""
READY, FAILED = "ready", "failed"
"""Files that the keeper makes: one of them ends the wait for it."""
KEEPER_LOG = "keeper.log"
START_SECONDS = 120.0


class EngineNotStarted(Exception):
    """The server can't be started; the text says why."""


@dataclass(frozen=True, kw_only=True)
class ContainerEngine:
    """A running engine that has the test images."""

    name: str
    """`docker` or `podman`: also what `runtime.type` is for it."""
    variable: str
    """The environment variable by which torkd finds it: DOCKER_HOST or CONTAINER_HOST."""
    base: Path
    """Its directory; whoever writes there must not mind that it is removed."""

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.base / "engine.sock"

    @property
    def url(self) -> str:
        """The same, as engines write it."""
        return f"unix://{self.socket}"

    @property
    def api(self) -> EngineApi:
        """To look at it and to change it."""
        return EngineApi(str(self.socket))

    @property
    def settings(self) -> dict[str, str]:
        """What torkd has to be told to use it, as environment variables."""
        return {"TORK_RUNTIME_TYPE": self.name, self.variable: self.url}

    def process_id(self) -> int:
        """Of the engine's server, for tests that kill it."""
        return int((self.base / "server.pid").read_text())


def place() -> Path:
    """Where the directories of all servers are. Podman wants no longer path than 50 characters for its own in there."""
    directory = Path(f"/tmp/torkd-t{os.geteuid()}")
    directory.mkdir(mode=0o755, exist_ok=True)
    return directory


@contextmanager
def shared_server(kind: str, *, own: str = "") -> Iterator[Path]:
    """The directory of a server of this kind that runs during the block; `own` names one that nobody else uses.

    Raises `EngineNotStarted`.
    """
    base, users = _join(kind, own)
    try:
        _wait(base)
        yield base
    finally:
        os.close(users)


def _join(kind: str, own: str) -> tuple[Path, int]:
    """Take part in this test run's server, or be the first and start its keeper."""
    run = own or os.environ.get("PYTEST_XDIST_TESTRUNUID", f"p{os.getpid()}")[:8]
    with (place() / f"{kind}-{run}.lock").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        for base in sorted(place().glob(f"{kind}-{run}-*")):
            users = _lock_shared(base)
            if users is not None:
                return base, users
        base = Path(tempfile.mkdtemp(prefix=f"{kind}-{run}-", dir=place()))
        base.chmod(0o711)
        (base / USERS).touch()
        users = _lock_shared(base)
        assert users is not None
        with (base / KEEPER_LOG).open("wb") as log:
            subprocess.run(
                [sys.executable, "-m", "tests.support.engine_keeper", kind, str(base)],
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
            )
        return base, users


def _lock_shared(base: Path) -> int | None:
    try:
        users = os.open(base / USERS, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(users)
        return None
    return users


def _wait(base: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not (base / READY).exists():
        if (base / FAILED).exists() or time.monotonic() > deadline:
            logs = sorted(base.glob("*.log"))
            told = "\n".join(log.read_text(errors="replace")[-1500:] for log in logs)
            raise EngineNotStarted(f"{base.name} did not start:\n{told}")
        time.sleep(0.02)
