"""Bodies: which formats are read, how much, and the JSON that is written.

Times are RFC 3339 in UTC with the trailing zeros of their fraction cut; empty fields are left out by the model classes.
"""

from __future__ import annotations

from typing import Any, Literal

import falcon
import msgspec
from gunicorn.http import errors as http_errors

from tork.wire import encode_plain
from tork.wire import plain as plain  # resources and feeds take it from here, beside `answer`
from torkd.api.errors import refusal

JSON = "application/json"
_FORMATS: dict[str, Literal["json", "yaml"]] = {
    JSON: "json",
    "text/yaml": "yaml",
    "application/yaml": "yaml",
    "application/x-yaml": "yaml",
}


def encode(document: Any, *, pretty: bool = False) -> bytes:
    """The JSON of a plain document, which is used up by this."""
    data = encode_plain(document)
    return msgspec.json.format(data, indent=2) + b"\n" if pretty else data


def answer(req: falcon.Request, resp: falcon.Response, document: Any) -> None:
    """Make a plain document the body of the response; `?pretty` indents it."""
    resp.content_type = JSON
    resp.data = encode(document, pretty="pretty" in req.params)


def format_of(content_type: str | None) -> Literal["json", "yaml"]:
    """The format of a submitted definition. Parameters and case of the header do not matter."""
    if not content_type:
        raise refusal(400, "missing content type")
    kind = _FORMATS.get(content_type.partition(";")[0].strip().lower())
    if kind is None:
        raise refusal(400, f"unknown content type: {content_type}")
    return kind


def read_body(req: falcon.Request, limit: int) -> bytes:
    """The whole body, however it is transferred, at most `limit` bytes.

    A body that was cut on its way is refused: half a job file may look like a whole one.
    """
    if req.content_length is not None:
        expected = min(req.content_length, limit + 1)
        data: bytes = req.bounded_stream.read(expected)
        if len(data) < expected:
            raise refusal(400, "the body ends before its Content-Length")
    elif req.env.get("wsgi.input_terminated"):
        data = _read_up_to(req.stream, limit + 1)
    else:
        data = b""
    if len(data) > limit:
        raise refusal(413, "Request Entity Too Large")
    return data


def _read_up_to(stream: Any, size: int) -> bytes:
    parts: list[bytes] = []
    try:
        while size > 0 and (part := stream.read(size)):
            parts.append(part)
            size -= len(part)
    except (http_errors.ParseException, http_errors.NoMoreData) as error:
        raise refusal(400, "the chunked body is broken or ends too early") from error
    return b"".join(parts)
