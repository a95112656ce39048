"""What stands before the API: the client's address, limits, and who asks."""

from __future__ import annotations

import logging
from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING, Any

import falcon.testing
import pytest
from msgspec.structs import replace

from tests.support.account_fakes import ADMIN
from tests.support.api_fakes import a_job, a_task
from torkd.accounts.sign_in import SignIn
from torkd.api.middleware.client_address import ClientAddress, bucket_of
from torkd.api.middleware.cors import CorsOptions
from torkd.api.middleware.rate_limit import RateLimit
from torkd.api.options import ApiOptions
from torkd.api.streams import DetachedBody
from torkd.api.streams.feed import Told
from torkd.api.streams.guarded import ASKED_EVERY_SECONDS, GuardedFeed

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api


def basic(username: str, password: str = "correct-horse") -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{username}:{password}".encode()).decode()}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def asking(api: Api, **options: Any) -> Api:
    """The API with these options, and two users."""
    api.accounts.put("ada", "correct-horse", ADMIN)
    api.accounts.put("bob", "correct-horse")
    api.accounts.put("gone", "correct-horse", disabled=True)
    api.serve(options=ApiOptions(**options))
    return api


@pytest.fixture
def passwords(api: Api) -> Api:
    return asking(api, asks_passwords=True)


@pytest.fixture
def keys(api: Api) -> Api:
    return asking(api, asks_keys=True, key="hush")


@pytest.fixture
def both(api: Api) -> Api:
    return asking(api, asks_passwords=True, asks_keys=True, key="hush")


CHALLENGE = "basic realm=Restricted"


@pytest.mark.parametrize(
    "headers",
    [{}, basic("ada", "wrong"), basic("nobody"), basic("gone"), bearer("hush"), {"Authorization": "Basic"}],
    ids=["none", "wrong", "unknown", "disabled", "key", "empty"],
)
def test_without_the_password_it_is_401_with_a_challenge(passwords: Api, headers: dict[str, str]) -> None:
    answer = passwords.get("/jobs", headers=headers)
    assert (answer.status_code, answer.json) == (401, {"message": "Unauthorized"})
    assert answer.headers["www-authenticate"] == CHALLENGE


@pytest.mark.parametrize("given", ["%%%", "YQ", "//79"], ids=["no base64", "cut", "no text"])
def test_a_header_that_can_not_be_read_is_400(passwords: Api, given: str) -> None:
    answer = passwords.get("/jobs", headers={"Authorization": f"Basic {given}"})
    assert answer.status_code == 400
    assert "right would be Basic, and user:password in base64" in answer.json["message"]


def test_with_the_password_it_is_answered(passwords: Api) -> None:
    assert passwords.get("/jobs", headers=basic("bob")).status_code == 200
    assert (
        passwords.get("/jobs", headers={"Authorization": "bAsIc" + basic("bob")["Authorization"][5:]}).status_code
        == 200
    )


@pytest.mark.parametrize("fixture", ["passwords", "keys", "both"])
def test_health_asks_nobody(request: pytest.FixtureRequest, fixture: str) -> None:
    api: Api = request.getfixturevalue(fixture)
    assert api.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status", "message"),
    [
        ({}, 400, "missing key in request header"),
        (basic("ada"), 400, "invalid key in the request header"),
        ({"Authorization": "hush"}, 400, "invalid key in the request header"),
        (bearer("wrong"), 401, "Unauthorized"),
        (bearer(""), 401, "Unauthorized"),
    ],
    ids=["none", "basic", "no scheme", "wrong", "empty"],
)
def test_without_the_key_it_is_said_what_is_missing(
    keys: Api, headers: dict[str, str], status: int, message: str
) -> None:
    answer = keys.get("/jobs", headers=headers)
    assert (answer.status_code, answer.json) == (status, {"message": message})
    assert "www-authenticate" not in answer.headers


def test_a_key_is_taken_from_the_header_only(keys: Api) -> None:
    assert keys.get("/jobs", headers=bearer("hush")).status_code == 200
    assert keys.get("/jobs", params={"key": "hush"}).status_code == 400
    assert keys.get("/jobs", headers={"X-API-Key": "hush"}).status_code == 400


def test_both_ways_can_be_on(both: Api) -> None:
    assert both.get("/jobs", headers=bearer("hush")).status_code == 200
    assert both.get("/jobs", headers=basic("bob")).status_code == 200
    answer = both.get("/jobs")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, CHALLENGE)


def test_guessing_is_429_with_the_time_to_wait(passwords: Api) -> None:
    statuses = [passwords.get("/jobs", headers=basic("bob", "wrong")).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    answer = passwords.get("/jobs", headers=basic("bob"))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.json["message"].startswith("too many failed sign-ins: try again in ")


def test_the_creator_of_a_job_is_who_asks(passwords: Api) -> None:
    answer = passwords.post("name: x\ntasks: [{name: y, run: 'true'}]", **basic("bob"))
    assert answer.status_code == 200
    (submitter,) = passwords.commands.submitters
    assert (submitter.user_id, submitter.viewers) == ("bob", None)
    assert submitter.act is not None
    assert (submitter.act.username, submitter.act.action, submitter.act.address) == ("bob", "job.submit", "127.0.0.1")


def test_idempotency_keys_are_each_users_own(passwords: Api) -> None:
    job = "name: x\ntasks: [{name: y, run: 'true'}]"
    for username in ("ada", "bob"):
        passwords.post(job, Idempotency_Key="k", **basic(username))
    assert [key.owner for _, key in passwords.commands.submitted if key] == ["ada", "bob"]


def test_permissions_must_name_what_exists(passwords: Api) -> None:
    job = "{name: x, tasks: [{name: y, run: 'true'}], permissions: [{user: bob}, {user: eve}, {role: crew}]}"
    answer = passwords.post(job, **basic("bob"))
    assert (answer.status_code, answer.json["message"]) == (
        400,
        "permissions[1].user: there is no user 'eve'\npermissions[2].role: there is no role 'crew'",
    )


def test_a_hidden_job_is_not_found_by_any_path(passwords: Api) -> None:
    passwords.reading.put(a_job())
    passwords.reading.put(a_task())
    passwords.accounts.hidden = {"j1"}
    passwords.accounts.task_jobs = {"t1": "j1"}
    for path, noun in (
        ("/jobs/j1", "job"),
        ("/jobs/j1/events", "job"),
        ("/tasks/t1", "task"),
        ("/tasks/t1/log", "task"),
    ):
        answer = passwords.get(path, headers=basic("bob"))
        assert (answer.status_code, answer.json) == (404, {"message": f"{noun} not found"}), path
    assert passwords.client.simulate_put("/jobs/j1/cancel", headers=basic("bob")).status_code == 404
    assert passwords.commands.cancelled == []


def test_an_admin_costs_no_look_at_permissions(passwords: Api) -> None:
    passwords.reading.put(a_job())
    passwords.get("/jobs/j1", headers=basic("ada"))
    asked = passwords.accounts.asked
    passwords.get("/jobs/j1", headers=basic("ada"))
    assert passwords.accounts.asked == asked


def test_what_was_done_is_written_down_once_it_is_done(passwords: Api) -> None:
    passwords.reading.put(a_job())
    passwords.client.simulate_put("/jobs/j1/cancel", headers=basic("bob"))
    passwords.client.simulate_delete("/queues/default", headers=basic("bob"))
    passwords.get("/jobs/j1", headers=basic("bob"))
    assert [(act.username, act.action, act.target) for act in passwords.accounts.acts] == [("bob", "job.cancel", "j1")]


def test_limits_come_before_sign_in_and_cors_before_both(api: Api) -> None:
    asking(api, asks_passwords=True, requests_per_second=2, cors=CorsOptions())
    headers = basic("bob", "wrong") | {"Origin": "https://tork.example"}
    answers = [api.get("/jobs", headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert answers[2].json == {"message": "rate limit exceeded"}
    assert answers[2].headers["retry-after"] == "1"
    assert {answer.headers["access-control-allow-origin"] for answer in answers} == {"*"}
    preflight = api.client.simulate_options("/jobs", headers=headers | {"Access-Control-Request-Method": "GET"})
    assert preflight.status_code == 204


def test_a_large_body_of_nobody_is_not_looked_at(passwords: Api) -> None:
    assert passwords.post("x" * 600_000).status_code == 401
    assert passwords.post("x" * 600_000, **basic("bob")).status_code == 413


def test_refused_requests_are_logged_with_the_address_and_who_asked(
    passwords: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "torkd.api.middleware.request_log")
    passwords.get("/jobs")
    passwords.get("/doctor", headers=basic("bob"))
    passwords.get("/jobs", headers=basic("bob"))
    told = [
        (getattr(record, "status", None), getattr(record, "user", None))
        for record in caplog.records
        if record.name.endswith("request_log")
    ]
    assert told == [(401, None), (404, "bob"), (200, "bob")]
    assert "correct-horse" not in caplog.text


class Ticking:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_fills_with_time_and_each_address_has_its_own() -> None:
    clock = Ticking()
    limit = RateLimit(2, clock)
    assert [limit._take("a") for _ in range(3)] == [True, True, False]
    assert limit._take("b")
    clock.now = 0.5
    assert [limit._take("a") for _ in range(2)] == [True, False]
    clock.now = 200.0
    assert limit._take("c")
    assert list(limit._buckets) == ["c"], "idle ones are forgotten"


@pytest.mark.parametrize(
    ("trusted", "peer", "headers", "client"),
    [
        ((), "10.0.0.1", {"X-Forwarded-For": "1.2.3.4"}, "10.0.0.1"),
        ((), "127.0.0.1", {"X-Forwarded-For": "1.2.3.4", "X-Real-IP": "1.2.3.4"}, "127.0.0.1"),
        (("10.0.0.1",), "10.0.0.1", {"X-Forwarded-For": "1.2.3.4"}, "1.2.3.4"),
        (("10.0.0.0/8",), "10.0.0.1", {"X-Forwarded-For": "6.6.6.6, 1.2.3.4, 10.9.9.9"}, "1.2.3.4"),
        (("10.0.0.0/8",), "10.0.0.1", {"X-Forwarded-For": "10.2.2.2, 10.9.9.9"}, "10.2.2.2"),
        (("10.0.0.0/8",), "10.0.0.1", {"X-Forwarded-For": "1.2.3.4, rubbish"}, "10.0.0.1"),
        (("10.0.0.0/8",), "10.0.0.1", {"X-Real-IP": "1.2.3.4"}, "1.2.3.4"),
        (("10.0.0.0/8",), "10.0.0.1", {}, "10.0.0.1"),
        (("10.0.0.0/8",), "::ffff:10.0.0.1", {"X-Forwarded-For": "[2001:db8::1]"}, "2001:db8::1"),
        (("10.0.0.0/8",), "10.0.0.1", {"X-Forwarded-For": "1.2.3.4:5678"}, "1.2.3.4"),
        (("::1",), "::1", {"X-Forwarded-For": "1.2.3.4"}, "1.2.3.4"),
    ],
)
def test_the_address_of_a_client(trusted: tuple[str, ...], peer: str, headers: dict[str, str], client: str) -> None:
    req = falcon.testing.create_req(remote_addr=peer, headers=headers)
    ClientAddress(trusted).process_request(req, falcon.Response())
    assert req.context.client_address == client


def test_an_address_of_ipv6_counts_by_its_network() -> None:
    assert bucket_of("2001:db8::1") == bucket_of("2001:db8::ffff")
    assert bucket_of("2001:db8::1") != bucket_of("2001:db9::1")
    assert bucket_of("10.0.0.1") == "10.0.0.1"


class Chatty:
    """A feed that always has something to tell."""

    job_id, content_type, heartbeat = "j1", "text/event-stream", b":\n\n"

    def read(self) -> Told:
        return Told(data=b"news")

    def job_touched(self, job_id: str, version: int) -> bool:
        return True

    def log_touched(self, task_id: str) -> bool:
        return False

    def missed(self) -> None:
        pass

    def farewell(self) -> Told:
        return Told(ended=True)


def test_a_stream_ends_when_its_reader_may_read_no_more(passwords: Api) -> None:
    clock = Ticking()
    sign_in = SignIn(passwords.accounts)
    caller = sign_in.by_password("bob", "correct-horse", "::1")
    assert caller is not None
    feed = GuardedFeed(Chatty(), partial(sign_in.is_still, caller), clock)
    asked = passwords.accounts.asked
    assert feed.read().data == b"news"
    assert passwords.accounts.asked == asked, "who signed in just now is not asked about again"
    clock.now = ASKED_EVERY_SECONDS
    assert feed.read().data == b"news"
    passwords.accounts.put("bob", "correct-horse", disabled=True)
    assert feed.read().data == b"news"
    clock.now = 2 * ASKED_EVERY_SECONDS
    assert feed.read() == Told(ended=True)


@pytest.mark.parametrize("change", ["disabled", "gone", "roles"])
def test_a_caller_is_no_longer_who_they_were(passwords: Api, change: str) -> None:
    sign_in = SignIn(passwords.accounts, configured_key="hush")
    caller, operator = sign_in.by_password("ada", "correct-horse", "::1"), sign_in.by_key("hush", "::1")
    assert caller is not None
    assert operator is not None
    assert sign_in.is_still(caller)
    match change:
        case "disabled":
            passwords.accounts.put("ada", "correct-horse", ADMIN, disabled=True)
        case "gone":
            del passwords.accounts.known["ada"]
        case _:
            passwords.accounts.put("ada", "correct-horse")
    assert not sign_in.is_still(caller)
    assert sign_in.is_still(operator)


def test_a_caller_whose_role_is_called_something_else_is_who_they_were(passwords: Api) -> None:
    sign_in = SignIn(passwords.accounts)
    caller = sign_in.by_password("ada", "correct-horse", "::1")
    assert caller is not None
    passwords.accounts.put("ada", "correct-horse", replace(ADMIN, name="Operators"))
    assert sign_in.is_still(caller)


def test_every_stream_of_somebody_who_signed_in_is_guarded(passwords: Api) -> None:
    passwords.reading.put(a_job())
    req = falcon.testing.create_req(path="/events")
    resp = falcon.Response()
    req.context.is_still_allowed = lambda: True
    passwords.streams.answer(req, resp, Chatty())
    assert isinstance(resp.stream, DetachedBody)
    assert isinstance(resp.stream._feed, GuardedFeed)
