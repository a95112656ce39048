"""A job with many tasks as JSON: written some tasks at a time, each lot when the client has taken the one before."""

from __future__ import annotations

from collections.abc import Iterator

import falcon
import msgspec
from msgspec.structs import replace

from tork.job import Job
from tork.task import Task
from torkd.api.media import JSON, encode
from torkd.api.response import PartsBody
from torkd.api.showing import Showing
from torkd.datastore.protocol import Reading

MANY_TASKS = 200
"""Jobs with fewer are answered in one piece, others in parts of so many."""


def answer_in_parts(req: falcon.Request, resp: falcon.Response, job: Job, reading: Reading, showing: Showing) -> None:
    """Make the job with its whole execution the body of the response. How long that is nobody knows before."""
    secrets = list(reading.secrets_of(job.id).values())
    document = showing.with_secrets(replace(job, execution=[]), secrets)
    document.pop("execution")
    resp.content_type = JSON
    resp.stream = PartsBody(
        _Text(
            encode(document).removesuffix(b"}") + b',"execution":[]}',
            reading.execution_in_parts(job.id, size=MANY_TASKS),
            showing,
            secrets,
            is_pretty="pretty" in req.params,
        )
    )


class _Text(Iterator[bytes]):
    """The job without tasks up to their place, each lot, and the end. Keeps nothing of a lot: many may wait for their client."""

    def __init__(
        self, around: bytes, lots: Iterator[list[Task]], showing: Showing, secrets: list[str], *, is_pretty: bool
    ) -> None:
        self._around: bytes | None = around
        self._lots = lots
        self._showing = showing
        self._secrets = secrets
        self._is_pretty = is_pretty
        self._separator = b""
        self._has_ended = False

    def __next__(self) -> bytes:
        if self._around is not None:
            around, self._around = self._around, None
            return msgspec.json.format(around, indent=2).removesuffix(b"]\n}") if self._is_pretty else around[:-2]
        for tasks in self._lots:
            if tasks:
                text = self._separator + self._written(tasks)
                self._separator = b","
                return text
        return self._end()

    def _written(self, tasks: list[Task]) -> bytes:
        written = encode([self._showing.with_secrets(task, self._secrets) for task in tasks])
        if not self._is_pretty:
            return written[1:-1]
        return msgspec.json.format(b'{"":%b}' % written, indent=2).removeprefix(b'{\n  "": [').removesuffix(b"\n  ]\n}")

    def _end(self) -> bytes:
        if self._has_ended:
            raise StopIteration
        self._has_ended = True
        if not self._is_pretty:
            return b"]}"
        return (b"\n  " if self._separator else b"") + b"]\n}\n"
