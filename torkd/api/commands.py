"""The door from the API to the engine: what a client may ask to be done."""

from __future__ import annotations

from typing import Protocol

from tork.job import JobDefinition
from torkd.datastore.account_protocol import Submitter
from torkd.datastore.protocol import Accepted, IdempotencyKey


class Commands(Protocol):
    """Each returns when what was asked is stored. Raises `DatastoreUnavailable` when it could not be."""

    def submit(self, definition: JobDefinition, *, key: IdempotencyKey | None, submitter: Submitter) -> Accepted:
        """Take a job for somebody. Raises `IdempotencyConflict` when the key came with another body before."""

    def schedule(self, definition: JobDefinition, *, key: IdempotencyKey | None, submitter: Submitter) -> Accepted:
        """Take a job that starts again and again; what is answered has the id of the schedule. Raises `IdempotencyConflict`."""

    def pause_schedule(self, schedule_id: str) -> None:
        """Let it fire no more. Raises `NotFound` or `StateConflict`."""

    def resume_schedule(self, schedule_id: str) -> None:
        """Let it fire again. Raises `NotFound` or `StateConflict`."""

    def delete_schedule(self, schedule_id: str) -> None:
        """Remove it with its jobs; those that are active are cancelled. Raises `NotFound`."""

    def run_schedule(self, schedule_id: str) -> Accepted:
        """Start its job now, beside its ticks. Raises `NotFound` or `StateConflict`."""

    def cancel(self, job_id: str) -> None:
        """End a job. Raises `NotFound` or `StateConflict`."""

    def restart(self, job_id: str) -> None:
        """Run an ended job again from its current task. Raises `NotFound` or `StateConflict`."""

    def retry(self, job_id: str, *, task_id: str = "") -> None:
        """Run again what failed in a job, or one task of it, and keep what went well. Raises `NotFound` or `StateConflict`."""

    def skip(self, task_id: str, *, reason: str) -> None:
        """Let a job go on without a task. Raises `NotFound` or `StateConflict`."""
