"""The states of one job with its tasks, and those of all jobs."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from torkd.api.showing import Showing
from torkd.api.streams import sse
from torkd.api.streams.feed import Told
from torkd.datastore.account_protocol import Viewer
from torkd.datastore.protocol import JobChanges, Reading

_JOBS_AT_ONCE = 200
_HIDDEN_AT_MOST = 10_000


class JobFeed:
    """`task` and `job` events of one job and, when it has ended, `end`.

    The id of an event is the job's version. Of what is told together only the last event has it, so that a client that
    resumes after it has seen all of that version.
    """

    content_type = sse.CONTENT_TYPE
    heartbeat = sse.HEARTBEAT

    def __init__(self, reading: Reading, showing: Showing, *, job_id: str, after: str) -> None:
        self._reading = reading
        self._showing = showing
        self._job_id = job_id
        self._version = int(after) if after.isascii() and after.isdigit() and len(after) < 19 else 0
        self._has_told = False
        self._reset = bool(after) and not self._version
        self._secrets: list[str] | None = None

    @property
    def job_id(self) -> str:
        return self._job_id

    def read(self) -> Told:
        changes = self._reading.job_changes(self._job_id, self._version)
        if changes.version < self._version:
            self._version, self._reset = 0, True
            return Told(again_in=0)
        data = [sse.RESET] if self._reset else []
        self._reset = False
        if changes.version > self._version or not self._has_told:
            data += self._events(changes)
        self._version = changes.version
        self._has_told = True
        ended = not changes.more and not changes.job.state.is_active
        if ended:
            data.append(sse.event("end", self._shown(changes.job), str(changes.version)))
        return Told(data=b"".join(data), ended=ended, again_in=0 if changes.more else None)

    def job_touched(self, job_id: str, version: int) -> bool:
        return version > self._version

    def log_touched(self, task_id: str) -> bool:
        return False

    def missed(self) -> None:
        """The next reading compares versions anyway."""

    def farewell(self) -> Told:
        return Told(ended=True)

    def _events(self, changes: JobChanges) -> list[bytes]:
        events = [sse.event("task", self._shown(task)) for task in changes.tasks]
        return [*events, sse.event("job", self._shown(changes.job), str(changes.version))]

    def _shown(self, value: Any) -> Any:
        if self._secrets is None:
            self._secrets = list(self._reading.secrets_of(self._job_id).values())
        return self._showing.with_secrets(value, self._secrets)


class EverythingFeed:
    """`job` events of all jobs from now on. What was before is in lists: a client that resumes is told to `reset`."""

    job_id = ""
    content_type = sse.CONTENT_TYPE
    heartbeat = sse.HEARTBEAT

    def __init__(self, reading: Reading, showing: Showing, *, after: str, viewer: Viewer | None = None) -> None:
        """A viewer is told of jobs that they may see only."""
        self._reading = reading
        self._showing = showing
        self._viewer = viewer
        self._hidden: dict[str, None] = {}
        """Jobs that the viewer may not see, the latest last: who may never changes, so nobody need be asked again."""
        self._lock = threading.Lock()
        self._touched: dict[str, int] = {}
        self._misses = 1 if after else 0
        self._told_misses = 0
        self._has_told = False

    def read(self) -> Told:
        with self._lock:
            versions = {job_id: self._touched[job_id] for job_id in list(self._touched)[:_JOBS_AT_ONCE]}
            misses = self._misses
        data = [] if self._has_told else [sse.comment("listening")]
        if misses != self._told_misses:
            data.append(sse.RESET)
        if versions:
            jobs = self._reading.changed_jobs(list(versions), self._viewer)
            self._hide(versions.keys() - {job.id for job in jobs})
            documents = self._showing.summaries(jobs)
            data += [
                sse.event("job", document, str(versions[job.id])) for job, document in zip(jobs, documents, strict=True)
            ]
        self._has_told, self._told_misses = True, misses
        return Told(data=b"".join(data), again_in=0 if self._forget(versions) else None)

    def job_touched(self, job_id: str, version: int) -> bool:
        with self._lock:
            if job_id in self._hidden:
                return False
            self._touched[job_id] = max(version, self._touched.get(job_id, 0))
        return True

    def log_touched(self, task_id: str) -> bool:
        return False

    def missed(self) -> None:
        with self._lock:
            self._misses += 1

    def farewell(self) -> Told:
        return Told(ended=True)

    def _hide(self, job_ids: Iterable[str]) -> None:
        with self._lock:
            self._hidden.update(dict.fromkeys(job_ids))
            while len(self._hidden) > _HIDDEN_AT_MOST:
                del self._hidden[next(iter(self._hidden))]

    def _forget(self, told: dict[str, int]) -> bool:
        """Drop what was told; whether there is more. Kept until now, so that a failed reading loses nothing."""
        with self._lock:
            for job_id, version in told.items():
                if self._touched[job_id] == version:
                    del self._touched[job_id]
            return bool(self._touched)
