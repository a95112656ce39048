"""`/scheduled-jobs`: every shape to the last field, what can be done in which state, and what is refused. In this order."""

from __future__ import annotations

from typing import Any

from tests.acceptance.rest.cases.jobs import GUEST, HIDDEN
from tests.acceptance.rest.stored import as_json
from tests.support.http_cases import ANY, ID, TIME, Case, Like, Some, message, page

SCHEDULED: dict[str, Any] = {
    "name": "scheduled film",
    "description": "encodes it again",
    "tags": ["by-night"],
    "inputs": {"size": "4711"},
    "secrets": {"token": "hunter3secret"},
    "tasks": [{"name": "one", "run": "true", "env": {"SIZE": "{{ inputs.size }}"}}],
    "output": "{{ inputs.size }}",
    "defaults": {"timeout": "1m"},
    "autoDelete": {"after": "1h"},
    "schedule": {"cron": "TZ=Europe/Berlin 0 9 * * MON-FRI", "overlap": "skip", "catchup": "one"},
}
_CRON = SCHEDULED["schedule"]["cron"]
_SUMMARY: dict[str, Any] = {
    "id": ID,
    "createdBy": GUEST,
    "name": "scheduled film",
    "description": "encodes it again",
    "tags": ["by-night"],
    "inputs": {"size": "4711"},
    "state": "ACTIVE",
    "createdAt": TIME,
    "cron": _CRON,
    "nextAt": TIME,
}
_WHOLE = {
    **_SUMMARY,
    "zone": ANY,
    "overlap": "skip",
    "catchup": "one",
    "secrets": {"token": HIDDEN},
    **{name: SCHEDULED[name] for name in ("tasks", "output", "defaults", "autoDelete")},
}
_PLAIN = b"name: plain\nschedule: {cron: '@every 1000h'}\ntasks: [{name: one, run: 'true'}]\n"
_PLAIN_SUMMARY = {
    name: _SUMMARY[name] for name in ("id", "createdBy", "state", "createdAt", "nextAt")
} | {"name": "plain", "cron": "@every 1000h"}  # fmt: skip
_YAML = {"Content-Type": "text/yaml"}
_OK = {"status": "OK"}
_NONE = message("scheduled job not found")
_AT = "/scheduled-jobs/{scheduled}"


def _post(name: str, body: bytes, kind: str | None, status: int = 200, expected: Any = ANY, **headers: str) -> Case:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Case(
        name, "POST", "/scheduled-jobs", status, expected, body, sent | ({"Content-Type": kind} if kind else {})
    )


CASES = [
    _post("schedule-as-json", as_json(SCHEDULED), "application/json", expected=_SUMMARY),
    *(
        _post(f"schedule-as-{kind}", _PLAIN, kind, expected=_PLAIN_SUMMARY)
        for kind in ("text/yaml", "application/yaml", "application/x-yaml", "Text/YAML; charset=utf-8")
    ),
    _post("schedule-with-a-key", _PLAIN, "text/yaml", expected=_PLAIN_SUMMARY, Idempotency_Key="once"),
    _post("schedule-with-the-key-again", _PLAIN, "text/yaml", expected=_PLAIN_SUMMARY, Idempotency_Key="once"),
    _post("schedule-with-the-key-of-another", _PLAIN + b"\n", "text/yaml", 422, Idempotency_Key="once"),
    _post("schedule-without-a-type", _PLAIN, None, 400, message("unknown content type: ")),
    _post("schedule-of-another-type", _PLAIN, "text/plain", 400, message("unknown content type: text/plain")),
    _post("schedule-nothing", b"", "text/yaml", 400, message(Like("1:1: the document is empty .*"))),
    _post(
        "schedule-without-a-schedule", b"name: x\ntasks: [{name: a}]\n", "text/yaml", 400,
        message("1:1: schedule: is missing (right would be e.g. cron: '@daily' under it)"),
    ),
    _post(
        "schedule-with-wait", _PLAIN + b"wait: {timeout: 1s}\n", "text/yaml", 400,
        message("4:7: wait: has no meaning beside schedule (right would be one of them)"),
    ),
    *(
        _post(f"schedule-at-{number}", _PLAIN.replace(b"@every 1000h", cron), "text/yaml", 400, message(Like(told)))
        for number, (cron, told) in enumerate([
            (b"99 99 99 99 99", r"2:18: schedule\.cron: '99' is not a minute .*"),
            (b"* * * * * *", r"2:18: schedule\.cron: .* has 6 fields.*"),
            (b"@reboot", r"2:18: schedule\.cron: '@reboot' is not known .*"),
            (b"0 0 30 2 *", r"2:18: schedule\.cron: .* names a day that never comes .*"),
            (b"TZ=Mars/Base @daily", r"2:18: schedule\.cron: 'Mars/Base' is not a time zone .*"),
        ])
    ),
    _post(
        "schedule-with-unknown-policies",
        _PLAIN.replace(b"1000h'", b"1000h', overlap: often, catchup: two"),
        "text/yaml",
        400,
        message(
            "2:43: schedule.overlap: 'often' is not known (right would be allow, skip or replace)\n"
            "2:59: schedule.catchup: 'two' is not known (right would be none, one or all)"
        ),
    ),
    Case("schedules", "GET", "/scheduled-jobs?size=1", expected=Some({"number": 1, "size": 1, "items": [_PLAIN_SUMMARY]})),
    Case("schedules-far-away", "GET", "/scheduled-jobs?page=99", expected=Some({"items": [], "number": 99, "size": 0})),
    Case("schedules-of-no-page", "GET", "/scheduled-jobs?page=x", 400, message("invalid page number: x")),
    Case("schedules-of-no-size", "GET", "/scheduled-jobs?size=x", 400, message("invalid size: x")),
    Case("schedules-can-not-be-put", "PUT", "/scheduled-jobs", 405, message("Method Not Allowed")),
    Case("a-schedule", "GET", _AT, expected=_WHOLE),
    Case(
        "next-times", "GET", f"{_AT}/next", expected={"cron": _CRON, "zone": "Europe/Berlin", "times": [Like(r".*T0[78]:00:00Z")] * 5}
    ),
    Case("some-next-times", "GET", f"{_AT}/next?count=2", expected=Some({"times": [ANY, ANY]})),
    Case("next-times-of-no-count", "GET", f"{_AT}/next?count=x", 400, message("invalid count: x (right would be a number from 1 to 100)")),
    Case("resume-what-is-active", "PUT", f"{_AT}/resume", 400, message("scheduled job is not paused")),
    Case("pause", "PUT", f"{_AT}/pause", expected=_OK),
    Case("pause-again", "PUT", f"{_AT}/pause", 400, message("scheduled job is not active")),
    Case("a-paused-one", "GET", _AT, expected={key: value for key, value in _WHOLE.items() if key != "nextAt"} | {"state": "PAUSED"}),
    Case(
        "run", "PUT", f"{_AT}/run",
        expected=Some({"id": ID, "name": "scheduled film", "schedule": {"id": ID, "cron": _CRON}, "inputs": {"size": "4711"}}),
    ),
    Case("a-paused-one-that-has-run", "GET", _AT, expected=Some({"state": "PAUSED", "lastAt": TIME})),
    Case("its-jobs", "GET", "/jobs?schedule={scheduled}", expected=Some({"totalItems": 1})),
    Case("jobs-of-no-schedule", "GET", "/jobs?schedule=nope", expected=page([], pages=0)),
    Case("resume", "PUT", f"{_AT}/resume", expected=_OK),
    Case("delete", "DELETE", _AT, expected=_OK),
    Case("delete-again", "DELETE", _AT, 404, _NONE),
    *(
        Case(f"{method}-no-schedule{path.replace('/', '-')}", method, f"/scheduled-jobs/nope{path}", 404, _NONE)
        for method, path in [
            ("GET", ""), ("DELETE", ""), ("PUT", "/pause"), ("PUT", "/resume"), ("PUT", "/run"), ("GET", "/next"),
        ]
    ),
    Case("schedule-as-a-job", "POST", "/jobs", 400, message(Like("2:1.*: is an unknown key here .*")), _PLAIN, _YAML),
]  # fmt: skip
