"""A job with very many tasks as JSON: written some tasks at a time, so that only their text is in memory, never all of them."""

from __future__ import annotations

from collections.abc import Iterator

import falcon
import msgspec
from msgspec.structs import replace

from tork.job import Job
from torkd.api.media import JSON, encode
from torkd.api.showing import Showing
from torkd.datastore.protocol import Reading

MANY_TASKS = 1000
"""Jobs with fewer are answered in one piece."""


def answer_in_parts(req: falcon.Request, resp: falcon.Response, job: Job, reading: Reading, showing: Showing) -> None:
    """Make the job with its whole execution the body of the response.

    All of it is read before the first byte is sent: a slow client must not keep a connection to the database.
    """
    parts = list(_parts(job, reading, showing))
    if "pretty" in req.params:
        parts = [msgspec.json.format(b"".join(parts), indent=2), b"\n"]
    resp.content_type = JSON
    resp.content_length = sum(map(len, parts))
    resp.stream = iter(parts)


def _parts(job: Job, reading: Reading, showing: Showing) -> Iterator[bytes]:
    secrets = list(reading.secrets_of(job.id).values())
    document = showing.with_secrets(replace(job, execution=[]), secrets)
    document.pop("execution")
    yield encode(document).removesuffix(b"}") + b',"execution":['
    separator = b""
    for tasks in reading.execution_in_parts(job.id):
        shown = [showing.with_secrets(task, secrets) for task in tasks]
        yield separator + encode(shown)[1:-1]
        separator = b","
    yield b"]}"
