"""The transaction of one batch, as the datastore's port describes it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Sequence

from tork.errors import DatastoreUnavailable, IdempotencyConflict
from torkd.datastore.account_protocol import Act
from torkd.datastore.postgres import batch_loading, batch_writing
from torkd.datastore.postgres.accounts import audit_rows
from torkd.datastore.postgres.pool import Connection
from torkd.datastore.postgres.schedule_batch import ScheduleBatch
from torkd.datastore.postgres.sealed_columns import SealedColumns
from torkd.datastore.postgres.statements import load_statements
from torkd.datastore.protocol import Accepted, Dispatch, IdempotencyKey
from torkd.engine.events import EngineEvent
from torkd.engine.reads import Reads
from torkd.engine.view import View
from torkd.hooks.redact import Redactor

SQL = load_statements("batch.sql")


class PostgresBatch(ScheduleBatch):
    """A batch on one connection, which is in pipeline mode: statements travel together until an answer is needed."""

    def __init__(self, connection: Connection, columns: SealedColumns, redactor: Redactor) -> None:
        super().__init__(connection, columns)
        self._redactor = redactor

    def load(self, events: Sequence[EngineEvent], *, wait: float = 0.0) -> View:
        """Lock the roots and read what the events need."""
        return batch_loading.load(self._connection, events, self._columns, wait=wait)

    def load_steps(self, view: View, job_id: str, position: int) -> None:
        """Add steps of a job from `position` on."""
        batch_loading.load_steps(self._connection, view, job_id, position, self._columns)

    def load_context(self, view: View, job_id: str, reads: Reads) -> None:
        """Add context values of a job."""
        batch_loading.load_context(self._connection, view, job_id, reads, self._columns)

    def load_failures(self, view: View, parent_id: str) -> None:
        """Add the first children of a task that have failed."""
        batch_loading.load_failures(self._connection, view, parent_id, self._columns)

    def load_last_runs(self, view: View, job_id: str) -> None:
        """Add the latest task at the position of a job that has ended."""
        batch_loading.load_last_runs(self._connection, view, job_id, self._columns)

    def accept(self, key: IdempotencyKey, job_id: str) -> Accepted:
        """Take the key for this job, or say which job has it."""
        row = self._connection.execute(SQL.digest_key).fetchone()
        assert row is not None
        digest = hmac.new(bytes(row[0]), key.body, hashlib.sha256).digest()
        values = {"owner": key.owner, "key": key.key, "digest": digest, "job": job_id}
        if self._connection.execute(SQL.accept_key, values).fetchone():
            return Accepted(job_id=job_id, repeated=False)
        found = self._connection.execute(SQL.accepted_key, values).fetchone()
        if found is None:
            raise DatastoreUnavailable(f"the idempotency key '{key.key}' has expired just now: send the request again")
        if not hmac.compare_digest(bytes(found[1]), digest):
            raise IdempotencyConflict(
                f"the idempotency key '{key.key}' was used for job {found[0]} with another body (use a new key for a new job)"
            )
        return Accepted(job_id=found[0], repeated=True)

    def audit(self, acts: Sequence[Act]) -> None:
        """Write down who did this, in the same transaction."""
        self._connection.execute(SQL.audit, {"rows": audit_rows(acts)})

    def write(self, view: View, published: Collection[Dispatch] = ()) -> dict[str, int]:
        """Write what was decided, and forget hand-outs that were published."""
        return batch_writing.write(self._connection, view, published, self._columns, self._redactor)
