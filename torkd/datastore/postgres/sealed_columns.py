"""The columns that may hold secrets: sealed on their way into the database where there is a key, opened on their way out.

This is the one place that knows which columns these are. SQL looks into none of them: it reads, copies within a job, and returns
them. Invariants: a sealed value can be opened only as one of the job that it was sealed for; a clear value is never taken for a
sealed one, whatever a user has written; clear and sealed values live side by side, so that a database can be given a key.
"""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any

from msgspec.structs import asdict

from tork import wire
from tork.errors import BadData, DatastoreUnavailable
from torkd.sealing import Damaged, KeyMissing, KeyRing

MARK = "torkd-sealed:"
CLEAR = f"{MARK}clear:"
"""In front of a clear value that begins like a sealed one. Base64 has no colon."""
_SUSPICIOUS = f'"{MARK}'
"""In JSON, where such a value begins."""

COLUMNS = (
    "name",
    "error",
    "result",
    "description",
    "output",
    "webhooks",
    "spec",
    "scope",
    "value",
    "items",
    "request",
    "reason",
)
"""Of jobs, job_details, job_steps, job_context, tasks, task_items, schedules, webhook_lanes and webhook_deliveries. A log is masked
before it comes here, and searched."""

TROUBLE_SECONDS = 30.0
"""For how long a value that could not be opened is told as trouble."""


class SealedColumns:
    """Seals and opens them. From any thread."""

    def __init__(self, keys: KeyRing | None = None) -> None:
        """Without a key values are stored in clear, and a sealed one is known as such."""
        self.keys = keys or KeyRing()
        self._sealer = self.keys.sealer("column")
        self._is_sealing = self.keys.is_sealing
        self._trouble, self._until = "", 0.0

    @property
    def is_sealing(self) -> bool:
        """Whether there is a key to seal with."""
        return self._is_sealing

    def rows_text(self, rows: Sequence[Any], *, job: str = "job_id") -> str:
        """Rows (structs or dicts) as JSON to be stored; `job` is the column with the id of their job.

        Raises `BadData` for what can't be stored.
        """
        try:
            if self._is_sealing:
                return wire.encode_text([self._closed(row, job) for row in rows])
            text = wire.encode_text(rows)
            if _SUSPICIOUS not in text:
                return text
            return wire.encode_text([_escaped(row) for row in rows])
        except (TypeError, ValueError, OverflowError) as error:
            raise BadData(f"a value can't be stored: {error}") from error

    def close(self, job_id: str, text: str) -> str:
        """One value to be stored."""
        if self._is_sealing and text:
            return self.seal(job_id, text)
        return CLEAR + text if text.startswith(MARK) else text

    def open(self, job_id: str, text: str) -> str:
        """The value as it was. Raises `DatastoreUnavailable` when its key is not here, `BadData` when it was changed."""
        if not text.startswith(MARK):
            return text
        if text.startswith(CLEAR):
            return text[len(CLEAR) :]
        try:
            return self._sealer.open(b64decode(text[len(MARK) :], validate=True), job_id.encode()).decode()
        except KeyMissing as error:
            self._trouble, self._until = str(error), time.monotonic() + TROUBLE_SECONDS
            raise DatastoreUnavailable(f"the database holds values {error}") from error
        except (Damaged, ValueError) as error:
            raise BadData(f"a stored value of job {job_id} can't be opened: {error}") from error

    def seal(self, job_id: str, text: str) -> str:
        """One value as it is stored. There must be a key to seal with."""
        return self._seal(text.encode(), job_id.encode())

    def open_row(self, row: dict[str, Any], job_id: str) -> dict[str, Any]:
        """The row with its columns opened, in place; a column of several values is an object."""
        for column, value in row.items():
            if isinstance(value, str):
                if value.startswith(MARK) and column in COLUMNS:
                    row[column] = self.open(job_id, value)
            elif isinstance(value, dict):
                row[column] = {name: self.open(job_id, text) for name, text in value.items()}
        return row

    def trouble(self) -> str:
        """Why values could not be opened lately, or nothing."""
        return f"the database holds values {self._trouble}" if time.monotonic() < self._until else ""

    def _closed(self, row: Any, job: str) -> dict[str, Any]:
        values = row.copy() if isinstance(row, dict) else asdict(row)
        about = values[job].encode()
        for column in COLUMNS:
            value = values.get(column)
            if value is None or value == "":
                continue
            data = value.encode() if isinstance(value, str) else wire.encode(value)
            values[column] = self._seal(data, about)
        return values

    def _seal(self, data: bytes, about: bytes) -> str:
        return MARK + b64encode(self._sealer.seal(data, about)).decode()


def _escaped(row: Any) -> dict[str, Any]:
    values = row.copy() if isinstance(row, dict) else asdict(row)
    for column in COLUMNS:
        value = values.get(column)
        if isinstance(value, str) and value.startswith(MARK):
            values[column] = CLEAR + value
    return values
