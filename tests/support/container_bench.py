"""Runs cases on one engine: a daemon for each kind of settings, and all jobs handed in at once, since most of them only wait."""

from __future__ import annotations

import contextlib
import http.client
import json
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.container_cases import Case
from tests.support.daemon import Daemon
from tests.support.engines import ContainerEngine
from tests.support.postgres import room
from tests.support.registry import Registry
from tests.support.waiting import wait_until

SLOTS = "8"
GRACE = "2s"
SECONDS_FOR_A_CASE = 240.0
"""From when the one before it ended: its tasks stand in line with those of all others. Less than pytest's limit for these."""
SECONDS_FOR_ALL = 600.0
PRIVATE_IMAGES = ("by-task", "wrong", "none", "secret", "by-config", "by-helper", "by-pre", "by-sidecar")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A job that has ended."""

    job: Mapping[str, Any]
    log: str
    left: Sequence[str]
    """Containers, volumes and networks that still carry its label."""


class Bench:
    """The daemons, and the jobs that were handed in."""

    def __init__(self, engine: ContainerEngine, words: Mapping[str, str]) -> None:
        self.engine, self.words = engine, words
        self.daemons: dict[str, Daemon] = {}
        self._jobs: dict[str, tuple[Daemon, str]] = {}
        self.refused: dict[str, str] = {}
        """What was said about those that were not taken."""
        self._cancelling: list[threading.Thread] = []

    def hand_in(self, name: str, case: Case) -> None:
        """Submit a case's job; it is cancelled at the right moment if the case says so."""
        daemon = self.daemons[case.daemon]
        try:
            job_id = daemon.submit(case.job_for(self.words))
        except urllib.error.HTTPError as refusal:
            with refusal:
                self.refused[name] = refusal.read().decode()
            return
        self._jobs[name] = (daemon, job_id)
        if case.cancel_at:
            thread = threading.Thread(target=_cancel, args=(daemon, job_id, case.cancel_at), daemon=True)
            thread.start()
            self._cancelling.append(thread)

    def wait(self, name: str) -> Ended:
        """What came of a case that was handed in."""
        assert name not in self.refused, self.refused[name]
        daemon, job_id = self._jobs[name]
        job = daemon.wait(job_id, within=SECONDS_FOR_A_CASE)
        label = f"torkd.job={job_id}"
        left: list[str] = []

        def is_clean() -> bool:
            left[:] = self.engine.api.left_with(label)
            return not left

        try:
            wait_until(is_clean, timeout=10)
        except AssertionError:
            pass  # whoever asked looks at what is left
        return Ended(job=job, log=_whole_log(daemon, job), left=left)

    def left_directories(self) -> list[str]:
        """What runs have left in the daemons' directories for them."""
        found: list[str] = []
        for daemon in self.daemons.values():
            runs = daemon.base / "tmp" / "torkd-runs"
            found += [str(path) for path in runs.glob("*/*") if not path.name.startswith(".")]
        return found


@contextmanager
def open_bench(engine: ContainerEngine, registry: Registry, cases: Mapping[str, Case]) -> Iterator[Bench]:
    """A bench to which these cases were handed in; it lasts as long as the block."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="torkd-bench-", dir=room())))
        home.chmod(0o755)
        words = _words(engine, registry, home)
        bench = Bench(engine, words)
        stack.callback(_forget_network, engine, words["network"])
        engine.api.create_network(words["network"])
        _push_private_images(engine, registry)
        for kind in sorted({case.daemon for case in cases.values()}):
            bench.daemons[kind] = stack.enter_context(Daemon(_settings(kind, engine, words, home)))
        for name, case in cases.items():
            bench.hand_in(name, case)
        yield bench


def _settings(kind: str, engine: ContainerEngine, words: Mapping[str, str], home: Path) -> dict[str, str]:
    prefix = f"TORK_RUNTIME_{engine.name.upper()}"
    common = {
        **engine.settings,
        "TORK_WORKER_QUEUES_DEFAULT": SLOTS,
        "TORK_WORKER_GRACE": GRACE,
        f"{prefix}_CONFIG": str(home / "nothing.json"),
    }
    if kind == "plain":
        return common
    if kind == "privileged":
        return {**common, f"{prefix}_PRIVILEGED": "true"}
    return {
        **common,
        "HOME": str(home),
        "PATH": f"{home}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "TORK_MOUNTS_BIND_ALLOWED": "true",
        "TORK_MOUNTS_BIND_SOURCES": words["allowed"],
        f"{prefix}_CONFIG": str(home / "config.json"),
        f"{prefix}_HOST_NETWORK": "true",
    }


def _words(engine: ContainerEngine, registry: Registry, home: Path) -> dict[str, str]:
    """What the angle brackets of cases stand for, with the files they speak of."""
    allowed, forbidden = home / "allowed", home / "forbidden"
    for directory in (allowed, forbidden, allowed / "below"):
        directory.mkdir()
        directory.chmod(0o777)
        (directory / "note").write_text(f"kept in {directory.name}\n")
    (allowed / "escape").symlink_to(forbidden)
    by_name = registry.host.replace("127.0.0.1", "localhost")
    (home / "config.json").write_text(
        json.dumps({"auths": {registry.host: Registry.auth_entry()}, "credHelpers": {by_name: "of-tests"}})
    )
    (home / "nothing.json").write_text("{}")
    _write_helper(home / "bin")
    return {
        "allowed": str(allowed),
        "forbidden": str(forbidden),
        "registry": registry.host,
        "registry-by-name": by_name,
        "engine": engine.name,
        "network": f"torkd-cases-{home.name[-8:].lower().replace('_', 'x')}",
    }


def _write_helper(directory: Path) -> None:
    """`docker-credential-of-tests`, as Docker calls such programs."""
    directory.mkdir()
    program = directory / "docker-credential-of-tests"
    told = json.dumps({"Username": Registry.USERNAME, "Secret": Registry.PASSWORD})
    program.write_text(f"#!/bin/sh\n[ \"$1\" = get ] && cat >/dev/null && echo '{told}'\n")
    program.chmod(0o755)


def _push_private_images(engine: ContainerEngine, registry: Registry) -> None:
    for name in PRIVATE_IMAGES:
        image = registry.image(f"private/{engine.name}-{name}:1")
        engine.api.tag_image("bb", image)
        engine.api.push_image(image, Registry.auth_header())
        engine.api.remove_image(image)


def _forget_network(engine: ContainerEngine, name: str) -> None:
    engine.api.call("DELETE", f"/networks/{name}")


def _cancel(daemon: Daemon, job_id: str, at: str) -> None:
    """Whatever goes wrong shows in the state of the job, or the daemon has ended with the test run."""
    with contextlib.suppress(OSError, AssertionError, http.client.HTTPException):
        wait_until(lambda: at in daemon.log_text(job_id), timeout=SECONDS_FOR_ALL)
        daemon.call("PUT", f"/jobs/{job_id}/cancel")


def _whole_log(daemon: Daemon, job: Mapping[str, Any]) -> str:
    """The job's, then those of its sub-jobs."""
    inner = [task["subjob"]["id"] for task in job.get("execution", []) if (task.get("subjob") or {}).get("id")]
    return "".join(_stored_log(daemon, one) for one in [str(job["id"]), *inner])


def _stored_log(daemon: Daemon, job_id: str) -> str:
    """All of it: what was printed last may be stored a moment after the job has ended, and then its stream ends."""
    with urllib.request.urlopen(f"{daemon.endpoint}/jobs/{job_id}/log/stream", timeout=60) as stream:
        stream.read()
    return daemon.log_text(job_id)
