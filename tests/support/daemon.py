"""A real `torkd run` for tests: its own directory and port, and standalone a database; gone at the end whatever happens."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from tests.support.postgres import free_port, room
from tests.support.waiting import wait_until

KEEPER = "keeper.py"


class Daemon:
    """One daemon after the other on the same data: `start`, `kill`, `start` again."""

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        command: tuple[str, ...] = ("-m", "torkd"),
        *,
        mode: str = "standalone",
        prefix: tuple[str, ...] = (),
        place: Path | None = None,
    ) -> None:
        """`mode` is what follows `torkd run`. `settings` are environment variables; `prefix` goes before the command, such as `setpriv …`.

        Its directory is made in `place`, which is in memory unless said otherwise.
        """
        self.base = Path(tempfile.mkdtemp(prefix="torkd-test-", dir=place or room()))
        self.base.chmod(0o711)
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.log = self.base / "torkd.log"
        self.mode = mode
        self._command = (*prefix, sys.executable, *command, "run", mode)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "TORK_DATA_DIR": str(self.base / "data"),
            f"TORK_{'WORKER' if mode == 'worker' else 'COORDINATOR'}_ADDRESS": f"127.0.0.1:{self.port}",
            "TORK_RUNTIME_TYPE": "auto",
            "TORK_MOUNTS_TEMP_DIR": str(self._temp_dir()),
            "TORK_LOGGING_LEVEL": "info",
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def _temp_dir(self) -> Path:
        directory = self.base / "tmp"
        directory.mkdir(mode=0o777)
        return directory

    def __enter__(self) -> Daemon:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill(keep_the_database=True)
        # Without its starter the database ends by itself, and in order: a killed one leaves shared memory behind.
        deadline = time.monotonic() + 10
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.kill()
        shutil.rmtree(self.base, ignore_errors=True)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The arbiter."""
        assert self._process is not None
        return self._process

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it is UP."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self.environment,
                cwd=self.base,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            wait_until(self.is_up, timeout=30, describe=self.told)

    def is_up(self) -> bool:
        """Whether /health says so."""
        if self.process.poll() is not None:
            raise AssertionError(f"torkd ended with {self.process.returncode}:\n{self.told()}")
        try:
            return bool(self.call("GET", "/health")["status"] == "UP")
        except (OSError, http.client.HTTPException):
            return False

    def freeze(self) -> None:
        """Stop the whole tree for now, tasks included: as if the machine were suspended."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def resume(self) -> None:
        """Let it go on."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def told(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-5000:]

    def kill(self) -> None:
        """kill -9 of everything it has started, the database's keeper included."""
        # Again and again: what was being started while the others died is nobody's then, not even the guard's.
        wait_until(self._is_killed, timeout=10, describe=lambda: str(self.processes()))
        self._process = None

    def _is_killed(self) -> bool:
        self._kill(keep_the_database=False)
        return not self.processes()

    def _kill(self, *, keep_the_database: bool) -> None:
        for process in self.processes():
            try:
                is_database = process.name() == "postgres" or KEEPER in " ".join(process.cmdline())
                if not (keep_the_database and is_database):
                    process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        if self._process is not None:
            self._process.wait(timeout=10)

    def processes(self) -> list[psutil.Process]:
        """Everything that has to do with this daemon: its tree, and whatever mentions or works in its directory."""
        mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
        found: dict[int, psutil.Process] = {}
        if self._process is not None and psutil.pid_exists(self._process.pid):
            try:
                root = psutil.Process(self._process.pid)
                found = {child.pid: child for child in (root, *root.children(recursive=True))}
            except psutil.NoSuchProcess:
                pass
        for process in psutil.process_iter():
            try:
                if process.pid in mine or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                words = " ".join(process.cmdline())
                if str(self.base) in words or str(self.base) in process.cwd():
                    found[process.pid] = process
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return [process for process in found.values() if _is_alive(process)]

    def stop(self, signal_number: int = signal.SIGTERM, within: float = 40) -> int:
        """Tell it to end, and wait; its exit code."""
        self.process.send_signal(signal_number)
        return self.process.wait(timeout=within)

    def call(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Any:
        """One request; the decoded answer. Raises `HTTPError` and `OSError`."""
        request = urllib.request.Request(self.endpoint + path, data=body, method=method, headers=dict(headers or {}))
        with urllib.request.urlopen(request, timeout=30) as answer:
            data = answer.read()
        return json.loads(data) if data else None

    def submit(self, job: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> str:
        """Post a job; its id."""
        body = json.dumps(job).encode()
        answer = self.call("POST", "/jobs", body, {"Content-Type": "application/json", **(headers or {})})
        return str(answer["id"])

    def job(self, job_id: str) -> Any:
        """The whole job."""
        return self.call("GET", f"/jobs/{job_id}")

    def log_text(self, job_id: str) -> str:
        """What the job has printed so far, oldest first."""
        parts: list[Any] = []
        page, pages = 1, 1
        while page <= pages:
            answer = self.call("GET", f"/jobs/{job_id}/log?size=100&page={page}")
            parts += answer["items"]
            page, pages = page + 1, answer["totalPages"]
        return "".join(part["contents"] for part in reversed(parts))

    def wait(self, job_id: str, within: float = 30) -> Any:
        """The job when it has ended. While the database is away the API says 503: then it is asked again."""
        seen: list[Any] = []

        def has_ended() -> bool:
            try:
                seen.append(self.job(job_id))
            except urllib.error.HTTPError as error:
                error.close()
                if error.code != 503:
                    raise
                return False
            return seen[-1]["state"] in {"COMPLETED", "FAILED", "CANCELLED"}

        wait_until(has_ended, timeout=within, describe=lambda: f"{seen[-1:]}\n{self.told()}")
        return seen[-1]

    def children(self, kind: str) -> list[psutil.Process]:
        """Its processes of one kind: `server` (gunicorn's child, which has the engine) or `postgres` (the postmaster)."""
        if kind == "server":
            return psutil.Process(self.process.pid).children()
        return [process for process in self.processes() if _is_postmaster(process)]

    def torkctl(
        self, *arguments: str, within: float = 60, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line against this daemon."""
        feed: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        return subprocess.run(
            [sys.executable, "-m", "torkctl", *arguments],
            env=self.client_environment(),
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
            **feed,
        )

    def client_environment(self) -> dict[str, str]:
        """What a command line needs to talk to this daemon."""
        return {
            **{name: self.environment[name] for name in ("PATH", "LANG")},
            "HOME": str(self.base),
            "TORK_CLIENT_ENDPOINT": self.endpoint,
        }


def _is_postmaster(process: psutil.Process) -> bool:
    try:
        return process.name() == "postgres" and "-D" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
