"""Several jobs followed at once: a thread each, one inbox, items in the order in which they were learnt.

Invariant: every job given is followed to its own end or to an error that says why that can't be known; a log that can't
be read never changes what a job came to.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tork.job import JobSummary
from tork.log import TaskLogPart
from tork.task import TaskSummary
from torkctl import diagnostics
from torkctl.client import Api, Patience, follow_job, follow_log
from torkctl.client.documents import TaskReport
from torkctl.client.following import SeenParts
from torkctl.nesting import MOST_SUB_JOBS, Scout, sub_job_id

_MOST_SUB_JOBS_AT_ONCE = 8
"""Each needs two streams; the log of one that waits its turn is shown from its beginning."""

_MOST_AT_ONCE = 16
"""Each needs a connection of the server; further jobs wait their turn, which changes nothing when all are waited for."""


@dataclass(frozen=True, kw_only=True)
class JobSeen:
    """The job's state, at first or when it changed."""

    job_id: str
    job: JobSummary


@dataclass(frozen=True, kw_only=True)
class TaskSeen:
    """A task's state changed."""

    job_id: str
    task: TaskSummary


@dataclass(frozen=True, kw_only=True)
class LogSeen:
    """A task printed."""

    job_id: str
    part: TaskLogPart


@dataclass(frozen=True, kw_only=True)
class LogDone:
    """No more log will come: it ended, or (with the error) can't be read."""

    job_id: str
    error: Exception | None = None


@dataclass(frozen=True, kw_only=True)
class JobLost:
    """What becomes of the job can't be known."""

    job_id: str
    error: Exception


@dataclass(frozen=True, kw_only=True)
class SubJobSeen:
    """A task of the job stands for a job of its own, which is followed too: its items, then its `LogDone`, will come."""

    job_id: str
    task: TaskReport

    @property
    def sub_job_id(self) -> str:
        """The job below."""
        return sub_job_id(self.task)


Item = JobSeen | TaskSeen | SubJobSeen | LogSeen | LogDone | JobLost


class Watch:
    """The threads. `close` lets the others end by themselves."""

    def __init__(
        self,
        api: Api,
        job_ids: Sequence[str],
        *,
        with_logs: bool = False,
        all_at_once: bool = False,
        stale: Mapping[str, JobSummary] | None = None,
        seen: Mapping[str, SeenParts] | None = None,
    ) -> None:
        self._api = api
        self._with_logs = with_logs
        self._seen = seen or {}
        self._lock = threading.Lock()
        self._sub_jobs: deque[str] = deque()
        self._sub_jobs_found = 0
        self._sub_job_followers = 0
        self._stop = threading.Event()
        self._inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._stale = stale or {}
        for job_id in job_ids:
            self._waiting.put(job_id)
        together = all_at_once or with_logs
        for _ in range(len(job_ids) if together else min(len(job_ids), _MOST_AT_ONCE)):
            self._start(self._follow_jobs)
        for job_id in job_ids if with_logs else ():
            self._start(lambda job_id=job_id: self._follow_log(job_id))  # type: ignore[misc] # mypy can't type the default

    def next(self, deadline: float | None) -> Item | None:
        """What was learnt next; None when the deadline (of `time.monotonic`) has passed."""
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return None
        try:
            return self._inbox.get(timeout=left)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Nothing more is wanted."""
        self._stop.set()

    def _start(self, work: Callable[[], None]) -> None:
        # daemons: a read that hangs must not keep the process from ending
        threading.Thread(target=work, daemon=True).start()

    def _follow_jobs(self) -> None:
        while not self._stop.is_set():
            try:
                job_id = self._waiting.get_nowait()
            except queue.Empty:
                return
            try:
                self._follow_job(job_id)
            except Exception as error:  # noqa: BLE001 - the reader of the inbox decides what an error means
                self._inbox.put(JobLost(job_id=job_id, error=error))

    def _follow_job(self, job_id: str, *, tell: Callable[[str], None] = diagnostics.notice) -> None:
        patience = self._patience(tell)
        scout = Scout(self._api, job_id, patience)
        stale = self._stale.get(job_id)
        for seen in follow_job(self._api, job_id, patience, stale=stale, with_tasks=self._with_logs):
            if isinstance(seen, JobSummary):
                self._inbox.put(JobSeen(job_id=job_id, job=seen))
                continue
            task = scout.sub_job_task(seen) if self._with_logs else None
            if task:
                self._open_sub_job(job_id, task)
            self._inbox.put(TaskSeen(job_id=job_id, task=seen))

    def _open_sub_job(self, job_id: str, task: TaskReport) -> None:
        found = SubJobSeen(job_id=job_id, task=task)
        with self._lock:
            self._sub_jobs_found += 1
            if self._sub_jobs_found > MOST_SUB_JOBS:
                if self._sub_jobs_found == MOST_SUB_JOBS + 1:
                    diagnostics.notice(f"of more than {MOST_SUB_JOBS} sub-jobs only the first are followed")
                return
            self._inbox.put(found)
            self._sub_jobs.append(found.sub_job_id)
            if self._sub_job_followers < _MOST_SUB_JOBS_AT_ONCE:
                self._sub_job_followers += 1
                self._start(self._follow_sub_jobs)

    def _follow_sub_jobs(self) -> None:
        while True:
            with self._lock:
                if not self._sub_jobs or self._stop.is_set():
                    self._sub_job_followers -= 1
                    return
                job_id = self._sub_jobs.popleft()
            self._follow_sub_job(job_id)

    def _follow_sub_job(self, job_id: str) -> None:
        """Its log has ended only when its tasks, which may be jobs in turn, have been told as well."""
        errors: list[Exception] = []
        log = threading.Thread(target=lambda: errors.extend(self._read_log(job_id)), daemon=True)
        log.start()
        try:
            self._follow_job(job_id, tell=diagnostics.detail)
        except Exception as error:  # noqa: BLE001 - what becomes of a sub-job shows in the job above
            errors.append(error)
        log.join()
        self._inbox.put(LogDone(job_id=job_id, error=errors[0] if errors else None))

    def _follow_log(self, job_id: str) -> None:
        errors = self._read_log(job_id)
        self._inbox.put(LogDone(job_id=job_id, error=errors[0] if errors else None))

    def _read_log(self, job_id: str) -> list[Exception]:
        """Put every part into the inbox. Returns why that ended too early, if it did."""
        patience = self._patience(diagnostics.detail)
        try:
            parts = follow_log(
                self._api,
                f"/jobs/{job_id}",
                patience,
                is_active=lambda: self._api.job_summary(job_id, patience=patience).state.is_active,
                on_incomplete=diagnostics.log_is_incomplete,
                seen=self._seen.get(job_id),
            )
            for part in parts:
                self._inbox.put(LogSeen(job_id=job_id, part=part))
        except Exception as error:  # noqa: BLE001 - the reader of the inbox decides what an error means
            return [error]
        return []

    def _patience(self, tell: Callable[[str], None]) -> Patience:
        window = self._api.patience().window_seconds
        return Patience(window_seconds=window, stop=self._stop, tell=tell)
