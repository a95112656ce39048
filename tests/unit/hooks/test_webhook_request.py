"""Headers and signatures, held to the Standard Webhooks specification."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from typing import Any

import pytest

from torkd.hooks.webhook_request import HookRequest, headers_of, signature

EXAMPLE = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}')
"""The one that the specification's libraries test themselves with."""


def headers(request: HookRequest | None = None, **fields: Any) -> dict[str, str]:
    values: dict[str, Any] = {"delivery_id": "d1", "event": "job.StateChange", "timestamp": 7, "secret": ""}
    return headers_of(request or HookRequest(url="http://h", body="{}"), **values | fields)


def test_the_signature_is_that_of_the_specification() -> None:
    assert signature(*EXAMPLE) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["hush", "whsec_not base64!", "ключ"])
def test_any_other_secret_counts_as_its_bytes(secret: str) -> None:
    expected = hmac.new(secret.encode(), b"d1.7.{}", hashlib.sha256).digest()
    kind, _, told = signature(secret, "d1", 7, "{}").partition(",")
    assert (kind, b64decode(told)) == ("v1", expected)
    assert headers(secret=secret)["webhook-signature"] == f"v1,{b64encode(expected).decode()}"


def test_a_request_says_what_it_is_and_is_unsigned_without_a_secret() -> None:
    assert headers() == {
        "Content-Type": "application/json; charset=UTF-8",
        "User-Agent": "torkd",
        "webhook-id": "d1",
        "webhook-timestamp": "7",
        "X-Tork-Event": "job.StateChange",
    }


def test_a_job_may_say_more_but_nothing_untrue_of_the_request() -> None:
    given = {"content-type": "text/x", "X-Team": "a", "Webhook-Id": "forged", "HOST": "other", "Content-Length": "1",
             "webhook-signature": "v1,forged", "x-tork-event": "forged"}  # fmt: skip
    told = headers(HookRequest(url="http://h", headers=given, body="{}"))
    assert told == {"content-type": "text/x", "X-Team": "a", "User-Agent": "torkd", "webhook-id": "d1",
                    "webhook-timestamp": "7", "X-Tork-Event": "job.StateChange"}  # fmt: skip
