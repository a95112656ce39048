"""Bodies that are a small JSON object, such as a user: what is known is read, unknown keys are ignored."""

from __future__ import annotations

from typing import TypeVar

import falcon
import msgspec

from torkd.api.errors import refusal
from torkd.api.media import read_body

SMALL_BODY = 64_000
"""Bytes that are enough where only a few short fields are sent."""

T = TypeVar("T", bound=msgspec.Struct)


def read_document(req: falcon.Request, to: type[T], *, limit: int) -> T:
    """The body as a value; the content type does not matter. Refused with what is wrong."""
    try:
        return msgspec.json.decode(read_body(req, limit), type=to)
    except msgspec.ValidationError as error:
        raise refusal(400, f"the body is wrong: {error}") from error
    except RecursionError as error:
        raise refusal(400, "the body is nested too deeply (right would be a JSON object)") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise refusal(400, f"the body can't be read: {error} (right would be a JSON object)") from error
