"""What holds for every answer: JSON, errors, times, pretty printing, groups, layers."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.api_fakes import a_job
from tork.errors import BadData, BrokerUnavailable, DatastoreUnavailable
from torkd.api.app import create_health_app
from torkd.api.media import encode
from torkd.api.middleware.cors import CorsOptions
from torkd.api.options import ApiOptions, api_options
from torkd.checks import Checks
from torkd.settings import Settings, load_settings

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

GROUP_PATHS = {
    "health": "/health",
    "jobs": "/jobs",
    "tasks": "/tasks/t1",
    "nodes": "/nodes",
    "queues": "/queues",
    "metrics": "/metrics",
}


@pytest.mark.parametrize("path", ["/", "/nope", "/jobs/j1/nope", "/nope?pretty"])
def test_an_unknown_path_is_not_found(api: Api, path: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.json) == (404, {"message": "Not Found"})
    assert answer.headers["content-type"] == "application/json"


def test_a_wrong_method_is_not_allowed(api: Api) -> None:
    answer = api.client.simulate_delete("/jobs")
    assert (answer.status_code, answer.json) == (405, {"message": "Method Not Allowed"})
    assert "GET" in answer.headers["allow"]


def test_an_unexpected_error_tells_nothing_and_is_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.reading.failure = RuntimeError("a secret detail")
    answer = api.get("/metrics")
    assert (answer.status_code, answer.json) == (500, {"message": "Internal Server Error"})
    assert "a secret detail" in caplog.text


@pytest.mark.parametrize(
    ("error", "status"),
    [(DatastoreUnavailable("it is away"), 503), (BrokerUnavailable("it is away"), 503), (BadData("it is away"), 400)],
    ids=["datastore", "broker", "data"],
)
def test_our_errors_have_a_status_and_their_text(api: Api, error: Exception, status: int) -> None:
    api.reading.failure = error
    answer = api.get("/metrics")
    assert (answer.status_code, answer.json) == (status, {"message": "it is away"})
    assert ("retry-after" in answer.headers) == (status == 503)


def test_pretty_indents_by_two_spaces(api: Api) -> None:
    api.indicators.clear()
    api.serve()
    assert api.get("/health?pretty").text == '{\n  "status": "UP",\n  "version": "0.1",\n  "indicators": {}\n}\n'
    assert api.get("/health").text == '{"status":"UP","version":"0.1","indicators":{}}'
    assert api.get("/nope?pretty").text == '{\n  "message": "Not Found"\n}\n'


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2024, 1, 2, 3, 4, 5, 123400, UTC), "2024-01-02T03:04:05.1234Z"),
        (datetime(2024, 1, 2, 3, 4, 5, 0, UTC), "2024-01-02T03:04:05Z"),
        (datetime(2024, 1, 2, 3, 4, 50, 1, timezone(timedelta(hours=1))), "2024-01-02T02:04:50.000001Z"),
    ],
    ids=["cut", "whole", "zone"],
)
def test_times_are_in_utc_without_trailing_zeros(moment: datetime, text: str) -> None:
    assert encode({"a": [{"at": moment}]}) == b'{"a":[{"at":"%b"}]}' % text.encode()


def test_a_text_that_looks_like_a_time_stays_as_it_is(api: Api) -> None:
    api.reading.put(a_job(inputs={"startedAt": "2024-01-02T03:04:05.500Z"}))
    assert api.get("/jobs/j1").json["inputs"] == {"startedAt": "2024-01-02T03:04:05.500Z"}


@pytest.mark.parametrize("group", GROUP_PATHS)
def test_a_group_that_is_off_answers_404(api: Api, group: str) -> None:
    api.serve(options=ApiOptions(groups=frozenset(GROUP_PATHS) - {group}))
    for name, path in GROUP_PATHS.items():
        answer = api.get(path)
        assert (answer.json == {"message": "Not Found"}) == (name == group), path


def test_health_is_down_when_an_indicator_raises(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise BrokerUnavailable("no answer")

    api.indicators["broker"] = broken
    api.serve()
    answer = api.get("/health")
    indicators = {"datastore": {"status": "UP"}, "broker": {"status": "DOWN", "error": "no answer"}}
    assert (answer.status_code, answer.json) == (503, {"status": "DOWN", "version": "0.1", "indicators": indicators})
    assert "broker is down: no answer" in caplog.text


@pytest.mark.parametrize(
    ("authorization", "shown"),
    [
        (None, False),
        ("Bearer wrong", False),
        ("Bearer", False),
        ("Basic !", False),
        ("Bearer the-key-of-this-test", True),
    ],
    ids=["none", "wrong", "empty", "another scheme", "good"],
)
def test_where_keys_are_asked_for_the_parts_are_shown_to_those_who_have_one(
    api: Api, authorization: str | None, shown: bool
) -> None:
    api.serve(options=ApiOptions(asks_keys=True, key="the-key-of-this-test"))
    answer = api.get("/health", headers={"Authorization": authorization} if authorization else {})
    assert (answer.status_code, "indicators" in answer.json) == (200, shown)
    assert api.get("/metrics").status_code == 400


def test_a_worker_serves_its_health_and_nothing_else() -> None:
    import falcon.testing

    client = falcon.testing.TestClient(create_health_app("0.1", Checks({"runtime": lambda: None})))
    assert client.simulate_get("/health").json == {
        "status": "UP",
        "version": "0.1",
        "indicators": {"runtime": {"status": "UP"}},
    }
    assert client.simulate_get("/jobs").status_code == 404


def test_a_body_above_the_limit_is_refused(api: Api) -> None:
    api.serve(options=ApiOptions(body_limit=10))
    answer = api.post("x" * 11)
    assert (answer.status_code, answer.json) == (413, {"message": "Request Entity Too Large"})


@pytest.mark.parametrize(
    ("skip", "path", "is_logged"),
    [
        ((), "/health", True),
        (("GET /health",), "/health", False),
        (("GET /h*",), "/health", False),
        (("* /jobs*",), "/jobs/j1", False),
        (("POST /health",), "/health", True),
    ],
)
def test_requests_are_logged_unless_skipped(
    api: Api, caplog: pytest.LogCaptureFixture, skip: tuple[str, ...], path: str, *, is_logged: bool
) -> None:
    api.serve(options=ApiOptions(request_log_level="INFO", request_log_skip=skip))
    with caplog.at_level(logging.INFO):
        api.get(path, query_string="a=b")
    records = [record for record in caplog.records if record.name.endswith("request_log")]
    assert bool(records) == is_logged
    if records:
        fields: dict[str, Any] = records[0].__dict__
        assert (fields["method"], fields["uri"], fields["remote_ip"]) == ("GET", f"{path}?a=[REDACTED]", "127.0.0.1")


def test_of_a_query_only_values_that_are_no_secret_are_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        api.get("/jobs", query_string="q=hunter2&page=2&key=hunter2&pretty&state=RUNNING")
    (record,) = [record for record in caplog.records if record.name.endswith("request_log")]
    assert record.__dict__["uri"] == "/jobs?q=[REDACTED]&page=2&key=[REDACTED]&pretty&state=RUNNING"


def test_other_origins_are_let_in_only_when_asked_for(api: Api) -> None:
    headers = {"Origin": "https://ui.example.org"}
    assert "access-control-allow-origin" not in api.get("/health", headers=headers).headers
    api.serve(options=ApiOptions(cors=CorsOptions(origins=("https://*.example.org",), methods=("GET",))))
    answer = api.get("/health", headers=headers)
    assert answer.headers["access-control-allow-origin"] == "https://ui.example.org"
    assert answer.headers["vary"] == "Origin"
    stranger = api.get("/health", headers={"Origin": "https://example.com"})
    assert "access-control-allow-origin" not in stranger.headers
    preflight = api.client.simulate_options("/jobs", headers=headers | {"Access-Control-Request-Method": "PUT"})
    assert (preflight.status_code, preflight.text) == (204, "")
    assert preflight.headers["access-control-allow-methods"] == "GET"


@pytest.mark.parametrize(
    ("asked", "allowed"), [("content-type", "*"), ("authorization,content-type", "*, Authorization"), ("", "*")]
)
def test_a_browser_may_send_a_password_where_it_may_send_any_header(api: Api, asked: str, allowed: str) -> None:
    api.serve(options=ApiOptions(cors=CorsOptions(), asks_passwords=True))
    headers = {"Origin": "https://ui.example.org", "Access-Control-Request-Method": "PUT"}
    preflight = api.client.simulate_options("/jobs", headers=headers | {"Access-Control-Request-Headers": asked})
    assert (preflight.status_code, preflight.headers["access-control-allow-headers"]) == (204, allowed)


def test_options_come_from_the_settings(tmp_path: Path) -> None:
    environ = {
        "TORK_MIDDLEWARE_WEB_BODYLIMIT": "1K",
        "TORK_COORDINATOR_API_ENDPOINTS_NODES": "false",
        "TORK_MIDDLEWARE_WEB_LOGGER_ENABLED": "false",
        "TORK_MIDDLEWARE_WEB_CORS_ENABLED": "true",
    }
    options = api_options(_settings(environ, tmp_path))
    assert (options.body_limit, options.request_log_level, options.cors) == (1000, None, CorsOptions())
    assert "nodes" not in options.groups
    assert "jobs" in options.groups


def test_who_is_asked_and_how_often_comes_from_the_settings(tmp_path: Path) -> None:
    options = api_options(_settings({}, tmp_path))
    assert (options.asks_who, options.requests_per_second, options.trusted_proxies) == (False, None, ())
    environ = {
        "TORK_MIDDLEWARE_WEB_BASICAUTH_ENABLED": "true",
        "TORK_MIDDLEWARE_WEB_KEYAUTH_ENABLED": "true",
        "TORK_MIDDLEWARE_WEB_KEYAUTH_KEY": "hush",
        "TORK_MIDDLEWARE_WEB_RATELIMIT_ENABLED": "1",
        "TORK_MIDDLEWARE_WEB_RATELIMIT_RPS": "7",
        "TORK_MIDDLEWARE_WEB_TRUSTED_PROXIES": "10.0.0.0/8,::1",
    }
    options = api_options(_settings(environ, tmp_path))
    assert (options.asks_passwords, options.asks_keys, options.key) == (True, True, "hush")
    assert (options.requests_per_second, options.trusted_proxies) == (7, ("10.0.0.0/8", "::1"))
    assert "hush" not in repr(options)


def _settings(environ: dict[str, str], place: Path) -> Settings:
    return load_settings(environ, cwd=place, home=place, system=place).settings
