"""One request of a webhook: what is posted, under which headers, and the signature by which its receiver knows that it is ours.

The signature follows the Standard Webhooks specification: HMAC-SHA256 over the id, the time of the try and the body, so that
libraries for it verify our requests. The id is the same in every try.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from urllib.parse import urlsplit

import msgspec

CONTENT_TYPE = "application/json; charset=UTF-8"
ID, TIMESTAMP, SIGNATURE, EVENT = "webhook-id", "webhook-timestamp", "webhook-signature", "X-Tork-Event"
_OURS = frozenset(
    {ID, TIMESTAMP, SIGNATURE, EVENT.lower(), "host", "content-length", "transfer-encoding", "connection"}
)
"""Headers that say what is true of the request, whatever a job wants in them."""
_STANDARD_SECRET = "whsec_"  # noqa: S105 - the prefix of every secret in that form


class HookRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent, with its templates evaluated. It may hold secrets: in the address and in the headers, never in the body."""

    url: str
    headers: dict[str, str] = {}
    body: str


def headers_of(request: HookRequest, *, delivery_id: str, event: str, timestamp: int, secret: str) -> dict[str, str]:
    """The headers of one try. Without a secret it is not signed."""
    given = {name: value for name, value in request.headers.items() if name.lower() not in _OURS}
    if not any(name.lower() == "content-type" for name in given):
        given["Content-Type"] = CONTENT_TYPE
    if not any(name.lower() == "user-agent" for name in given):
        given["User-Agent"] = "torkd"
    given |= {ID: delivery_id, TIMESTAMP: str(timestamp), EVENT: event}
    if secret:
        given[SIGNATURE] = signature(secret, delivery_id, timestamp, request.body)
    return given


def signature(secret: str, delivery_id: str, timestamp: int, body: str) -> str:
    """`v1,` and the HMAC-SHA256 in base64."""
    signed = f"{delivery_id}.{timestamp}.{body}".encode()
    return f"v1,{b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()}"


def target_of(url: str) -> str:
    """Who answers at the address, as a short digest: addresses with the same one share a server. Raises `ValueError`."""
    parts = urlsplit(url)
    return hashlib.sha256(f"{parts.scheme}://{parts.hostname}:{parts.port}".encode()).hexdigest()[:16]


def _key(secret: str) -> bytes:
    """The bytes of a secret: of one in the form `whsec_<base64>` what that stands for, else its text."""
    if secret.startswith(_STANDARD_SECRET):
        try:
            return b64decode(secret.removeprefix(_STANDARD_SECRET), validate=True)
        except NotBase64:
            pass
    return secret.encode()
