from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.waiting import wait_until

PROGRAM = Path(__file__).parents[2] / "support" / "api_process.py"
DEADLINE = 20.0


class Daemon:
    """A serving process under test."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the daemon
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *arguments],
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            start_new_session=True,
            env=os.environ | environ,
        )
        self._clients: list[httpx2.Client] = []
        self.lines: list[str] = []

    @property
    def pid(self) -> int:
        return self._process.pid

    def expect(self, start: str) -> str:
        """Read lines until one starts so; the rest of it."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.strip())
            if line.startswith(start):
                return line.removeprefix(start).strip()
        raise AssertionError(f"no line {start!r} among {self.lines}; stderr: {self.stderr()}")

    def started(self) -> httpx2.Client:
        """A client, once the process serves."""
        port = self.expect("listening")
        self.expect("serving")
        client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE, trust_env=False)
        self._clients.append(client)
        return client

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        return self._process.wait(DEADLINE)

    def stderr(self) -> str:
        """What it has written there so far."""
        return os.pread(self._stderr.fileno(), 1 << 20, 0).decode()

    def kill(self) -> None:
        for client in self._clients:
            client.close()
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait(DEADLINE)


@pytest.fixture
def daemon() -> Iterator[Callable[..., Daemon]]:
    started: list[Daemon] = []

    def start(*arguments: str, **environ: str) -> Daemon:
        started.append(Daemon(*(arguments or ("127.0.0.1:0",)), **environ))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each._process.stdout.close()  # type: ignore[union-attr] # it is a pipe
        each._stderr.close()


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, with a deadline."""
    wait_until(condition, timeout=DEADLINE, describe=lambda: f"waited in vain: {what}")
