"""Asks for jobs until they have ended. One thread, however many jobs: young ones are asked for often, old ones now and then."""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tork.errors import TorkError, Unavailable
from tork.job import JobSummary
from torkctl.client import Api
from torkctl.errors import Denied

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_BETWEEN_SECONDS = 0.02
"""At most fifty questions a second."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A job has ended: its document without its tasks. Without one, the server has no such job any more."""

    job: JobSummary | None
    job_id: str
    document: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Lost:
    """Why nobody asks for jobs any more."""

    error: Exception


@dataclass(frozen=True, kw_only=True)
class Silent:
    """The server has ceased to answer; it is asked again."""

    error: Unavailable


class Results:
    """The jobs that are waited for."""

    def __init__(self, api: Api, tell: Callable[[Ended | Silent | Lost], None]) -> None:
        self._api = api
        self._tell = tell
        self._added: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._over = threading.Event()
        self._is_started = False
        self._is_silent = False

    def add(self, job_id: str) -> None:
        """Wait for this one too."""
        self._added.put(job_id)
        if not self._is_started:
            self._is_started = True
            threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        """Nothing more is wanted."""
        self._over.set()
        self._added.put("")

    def _run(self) -> None:
        due: list[tuple[float, float, str]] = []
        try:
            while self._take_added(due):
                _, pause, job_id = heapq.heappop(due)
                if not self._ask(job_id):
                    heapq.heappush(due, (time.monotonic() + pause, min(pause * 1.5, _LONGEST_PAUSE_SECONDS), job_id))
                self._over.wait(_BETWEEN_SECONDS)
        except Exception as error:  # noqa: BLE001 - whoever waits for results decides what it means that there will be none
            self._tell(Lost(error=error))

    def _take_added(self, due: list[tuple[float, float, str]]) -> bool:
        """Wait until the first is due. False when nothing more is wanted."""
        while not self._over.is_set():
            left = max(0.0, due[0][0] - time.monotonic()) if due else None
            try:
                job_id = self._added.get(timeout=left)
            except queue.Empty:
                return True
            heapq.heappush(due, (time.monotonic(), _FIRST_PAUSE_SECONDS, job_id))
        return False

    def _ask(self, job_id: str) -> bool:
        """Whether that was the last time."""
        try:
            job = self._api.job_summary(job_id)
            self._is_silent = False
            if job.state.is_active:
                return False
            document = self._api.job_document(job_id, with_tasks=False)
        except Unavailable as error:
            if not self._is_silent:
                self._is_silent = True
                self._tell(Silent(error=error))
            return False
        except Denied:
            raise
        except TorkError:
            self._tell(Ended(job=None, job_id=job_id))
        else:
            self._tell(Ended(job=job, job_id=job_id, document=document))
        return True
