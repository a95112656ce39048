"""A steady load: so many clients, each with one job at a time, which ask again whatever happens to the servers."""

from __future__ import annotations

import http.client
import json
import random
import threading
import urllib.error
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.jobs import KINDS, Chosen, Journal, Kind, doubled_lines
from tests.support.daemon import Daemon

ENDED = {"COMPLETED", "FAILED", "CANCELLED"}
_LOOK_SECONDS = 0.3
_RETRY_SECONDS = 0.2
_CANCEL_WITHIN_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 0.8


@dataclass
class Sent:
    """A job that was accepted."""

    kind: Kind
    job_id: str
    journal: Path
    has_ended: bool = False


class Load:
    """Clients in threads, over all coordinators."""

    def __init__(self, coordinators: Sequence[Daemon], directory: Path, *, clients: int, seed: int) -> None:
        self.sent: list[Sent] = []
        self._coordinators = coordinators
        self._directory = directory
        self._lock = threading.Lock()
        self._number = 0
        self._goes_on = threading.Event()
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._serve, args=(random.Random(f"{seed}-{number}"),), name=f"client-{number}")
            for number in range(clients)
        ]
        self._busy = 0
        for thread in self._threads:
            thread.start()

    def go_on(self) -> None:
        """Submit jobs from now on."""
        self._goes_on.set()

    def hold(self) -> None:
        """Submit no more; what was submitted is still seen to its end."""
        self._goes_on.clear()

    def is_settled(self) -> bool:
        """Whether every job that was submitted has ended."""
        with self._lock:
            return not self._busy and all(sent.has_ended for sent in self.sent)

    def unfinished(self) -> list[str]:
        """The jobs that have not ended."""
        with self._lock:
            return [f"{sent.kind.name} {sent.job_id}" for sent in self.sent if not sent.has_ended]

    def stop(self) -> None:
        """End the clients, whatever they wait for."""
        self._over.set()
        self._goes_on.set()
        for thread in self._threads:
            thread.join()

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """Ask one coordinator after the other until one answers; None when the answer is no, or all is over."""
        data = json.dumps(body).encode() if body is not None else None
        more = {"Content-Type": "application/json", **(headers or {})} if data else headers
        while not self._over.is_set():
            for daemon in random.sample(list(self._coordinators), len(self._coordinators)):
                try:
                    return daemon.call(method, path, data, more)
                except urllib.error.HTTPError as error:
                    error.close()
                    if error.code < 500:
                        return None
                except (OSError, http.client.HTTPException, ValueError):
                    continue
            self._over.wait(_RETRY_SECONDS)
        return None

    def _serve(self, chance: random.Random) -> None:
        while not self._over.is_set():
            self._goes_on.wait()
            with self._lock:
                if self._over.is_set() or not self._goes_on.is_set():
                    continue
                self._busy += 1
                self._number += 1
                number = self._number
            try:
                self._see_one_through(chance, number)
            finally:
                with self._lock:
                    self._busy -= 1

    def _see_one_through(self, chance: random.Random, number: int) -> None:
        kind = KINDS[number % len(KINDS)]
        journal = self._directory / f"journal-{number}"
        chosen = Chosen(
            number=number, journal=journal, pause=_pauses(chance), queue=lambda: chance.choice(["default", "other"])
        )
        definition = {"name": f"{kind.name} {number}", **kind.make(chosen)}
        answer = self.call("POST", "/jobs", definition, {"Idempotency-Key": f"chaos-{number}"})
        if answer is None:
            if not self._over.is_set():
                raise AssertionError(f"the job was refused: {definition}")
            return
        sent = Sent(kind, answer["id"], journal)
        with self._lock:
            self.sent.append(sent)
        if kind.is_cancelled:
            self._over.wait(chance.uniform(0, _CANCEL_WITHIN_SECONDS))
            self.call("PUT", f"/jobs/{sent.job_id}/cancel")
        while not self._over.wait(_LOOK_SECONDS):
            job = self.call("GET", f"/jobs/{sent.job_id}?execution=none")
            if job is not None and job["state"] in ENDED:
                sent.has_ended = True
                return


def _log_of(load: Load, job_id: str) -> str:
    """What is stored of it, in any order."""
    contents: list[str] = []
    page, pages = 1, 1
    while page <= pages:
        answer = load.call("GET", f"/jobs/{job_id}/log?size=100&page={page}")
        if answer is None:
            break
        contents += [part["contents"] for part in answer["items"]]
        page, pages = page + 1, answer["totalPages"]
    return "".join(contents)


def _pauses(chance: random.Random) -> Callable[[], float]:
    return lambda: chance.uniform(0, LONGEST_PAUSE_SECONDS)


def faults_of(load: Load, sent: Sent) -> list[str]:
    """What is wrong with how a job has ended."""
    job = load.call("GET", f"/jobs/{sent.job_id}")
    if job is None:
        return [f"{sent.kind.name} {sent.job_id} is lost"]
    found = [*sent.kind.faults(job, Journal(sent.journal)), *doubled_lines(_log_of(load, sent.job_id))]
    return [f"{sent.kind.name} {sent.job_id}: {fault}" for fault in found]
