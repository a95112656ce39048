"""`/jobs` and `/tasks`: every shape to the last field, what can be done and what is refused."""

from __future__ import annotations

from typing import Any

from tests.acceptance.rest.stored import DONE, FAILED, as_json
from tests.support.http_cases import ANY, ID, NUMBER, TIME, Case, Like, Some, message, page

HIDDEN = "[REDACTED]"
GUEST = {"id": "0" * 32, "name": "Guest", "username": "guest", "createdAt": TIME, "disabled": True}

_BOTH: dict[str, Any] = {
    "id": ID,
    "createdBy": GUEST,
    "name": "encode the film",
    "description": "Builds the encoding of a short-film",
    "tags": ["video", "nightly"],
    "state": "COMPLETED",
    "createdAt": TIME,
    "startedAt": TIME,
    "completedAt": TIME,
    "position": 3,
    "taskCount": 2,
    "inputs": {"size": "4711"},
    "result": "done it",
    "progress": 100,
}
_RAN = {
    "id": ID,
    "jobId": ID,
    "state": "COMPLETED",
    "createdAt": TIME,
    "scheduledAt": TIME,
    "startedAt": TIME,
    "completedAt": TIME,
    "nodeId": ANY,
    "queue": "default",
    "timeout": "1m",
    "progress": 100,
}
FIRST = {
    **_RAN,
    "name": "first",
    "position": 1,
    "var": "one",
    "run": DONE["tasks"][0]["run"],
    "env": {"TOKEN": HIDDEN, "SIZE": "4711"},
    "result": "done it",
}
_LEFT = {**_RAN, "name": "left", "position": 2, "parentId": ID, "run": "echo beta"}
_RIGHT = {**_RAN, "name": "right", "position": 2, "parentId": ID, "run": "true"}
_PARALLEL = {
    "id": ID,
    "jobId": ID,
    "name": "both",
    "position": 2,
    "state": "COMPLETED",
    "createdAt": TIME,
    "scheduledAt": TIME,
    "startedAt": TIME,
    "completedAt": TIME,
    "parallel": {"tasks": DONE["tasks"][1]["parallel"]["tasks"], "completions": 2},
    "progress": 100,
}
WITHOUT_EXECUTION = {
    **_BOTH,
    "tasks": [{**DONE["tasks"][0]}, DONE["tasks"][1]],
    "context": {
        "job": {"id": ID, "name": "encode the film"},
        "inputs": {"size": "4711"},
        "secrets": {"token": HIDDEN},
        "tasks": {"one": "done it"},
    },
    "output": "{{ tasks.one }}",
    "secrets": {"token": HIDDEN},
    "defaults": {"timeout": "1m"},
}


def _job(*execution: Any) -> dict[str, Any]:
    return {**WITHOUT_EXECUTION, "execution": list(execution)}


_PART = {"id": ID, "number": NUMBER, "taskId": ID, "contents": ANY, "createdAt": TIME, "run": ANY}
_YAML = {"Content-Type": "text/yaml"}
_SMALL = b"name: small\ntasks: [{name: quick, run: 'true'}]\n"
_SMALL_SUMMARY = {
    "id": ID,
    "createdBy": GUEST,
    "name": "small",
    "state": "PENDING",
    "createdAt": TIME,
    "position": 0,
    "taskCount": 1,
}

READING = [
    Case("a-job", "GET", "/jobs/{done}", expected=_job(FIRST, _PARALLEL, Some({"name": ANY}), Some({"name": ANY}))),
    Case("a-job-without-its-execution", "GET", "/jobs/{done}?execution=none", expected=_job()),
    Case("first-of-the-execution", "GET", "/jobs/{done}?executionSize=1", expected=_job(FIRST)),
    Case("second-of-the-execution", "GET", "/jobs/{done}?executionSize=1&executionPage=2", expected=_job(_PARALLEL)),
    Case("past-the-execution", "GET", "/jobs/{done}?executionPage=9", expected=_job()),
    Case(
        "another-execution",
        "GET",
        "/jobs/{done}?execution=all",
        400,
        message("invalid execution: all (right would be none)"),
    ),
    Case("a-task", "GET", "/tasks/{first}", expected=FIRST),
    Case("a-parallel-task", "GET", "/tasks/{both}", expected=_PARALLEL),
    Case("a-child", "GET", "/tasks/{left}", expected=_LEFT),
    Case("another-child", "GET", "/tasks/{right}", expected=_RIGHT),
    Case(
        "a-failed-job",
        "GET",
        "/jobs/{failed}",
        expected={
            "id": ID,
            "createdBy": GUEST,
            "name": "broken upload",
            "tags": ["upload"],
            "state": "FAILED",
            "createdAt": TIME,
            "startedAt": TIME,
            "failedAt": TIME,
            "position": 1,
            "taskCount": 1,
            "error": Like(".*exit code 3.*"),
            "tasks": FAILED["tasks"],
            "context": {"job": {"id": ID, "name": "broken upload"}},
            "execution": [
                {
                    "id": ID,
                    "jobId": ID,
                    "name": "bad",
                    "position": 1,
                    "state": "FAILED",
                    "createdAt": TIME,
                    "scheduledAt": TIME,
                    "startedAt": TIME,
                    "failedAt": TIME,
                    "nodeId": ANY,
                    "queue": "default",
                    "run": "echo oops; exit 3",
                    "error": Like(".*exit code 3.*oops.*"),
                }
            ],
        },
    ),
    Case("a-cancelled-job", "GET", "/jobs/{cancelled}", expected=Some({"state": "CANCELLED", "failedAt": TIME})),
    Case(
        "a-running-job",
        "GET",
        "/jobs/{running}",
        expected=Some({"state": "RUNNING", "position": 1, "execution": [Some({"state": "RUNNING", "nodeId": ANY})]}),
    ),
    Case("a-summary", "GET", "/jobs?idPrefix={done}", expected=page([_BOTH])),
]

LISTING = [
    Case(
        "newest-first",
        "GET",
        "/jobs?size=4",
        expected=page(
            [Some({"name": name}) for name in ("waiting job", "stopped upload", "broken upload", "encode the film")],
            pages=4,
            total=16,
        ),
    ),
    *(
        Case(f"state-{name}", "GET", f"/jobs?state={query}&size=20", expected=page(ANY, size=count))
        for name, query, count in (
            ("one", "FAILED", 1),
            ("in-small-letters", "failed", 1),
            ("two-with-a-comma", "FAILED,CANCELLED", 2),
            ("two-repeated", "FAILED&state=CANCELLED", 2),
            ("completed", "COMPLETED", 13),
            ("empty-means-any", "", 16),
        )
    ),
    Case(
        "no-such-state",
        "GET",
        "/jobs?state=DONE",
        400,
        message(
            "unknown state: DONE (right would be one of PENDING, SCHEDULED, RUNNING, CANCELLED, COMPLETED, FAILED)"
        ),
    ),
    *(
        Case(f"tag-{name}", "GET", f"/jobs?tag={query}&size=20", expected=page(ANY, size=count))
        for name, query, count in (
            ("one", "filler", 12),
            ("either-with-a-comma", "video,upload", 2),
            ("either-repeated", "video&tag=nightly", 2),
        )
    ),
    Case("no-such-tag", "GET", "/jobs?tag=nope", expected=page([], pages=0)),
    Case("state-and-tag", "GET", "/jobs?state=RUNNING&tag=nightly", expected=page([Some({"name": "waiting job"})])),
    Case("state-and-words", "GET", "/jobs?state=CANCELLED&q=upload", expected=page([Some({"name": "stopped upload"})])),
    Case("id-prefix-of-nothing", "GET", "/jobs?idPrefix=zz", expected=page([], pages=0)),
    Case("no-prefix", "GET", "/jobs?idPrefix=", expected=page(ANY, size=10, pages=2, total=16)),
]

_ENCODE, _BROKEN, _STOPPED, _WAITING = (
    [Some({"name": name})] for name in ("encode the film", "broken upload", "stopped upload", "waiting job")
)

SEARCHING = [
    Case(f"search-{name}", "GET", f"/jobs?q={query}&size=20", expected=page(found, pages=1 if found else 0))
    for name, query, found in (
        ("name", "encode", _ENCODE),
        ("description", "short", _ENCODE),
        ("any-case", "ENCODE", _ENCODE),
        ("stems", "encodes", _ENCODE),
        ("more-stems", "build", _ENCODE),
        ("no-prefixes", "enc", []),
        ("all-words", "broken+upload", _BROKEN),
        ("all-words-must-be-there", "broken+film", []),
        ("in-any-order", "film+encode", _ENCODE),
        ("hyphenated-whole", "short-film", _ENCODE),
        ("hyphenated-part", "film", _ENCODE),
        ("state-as-a-word", "cancelled", _STOPPED),
        ("state-as-a-stem", "run", _WAITING),
        ("state-and-name", "failed+upload", _BROKEN),
        ("two-states", "failed+running", []),
        ("stop-words-alone", "the+my", []),
        ("stop-words-beside", "the+film", _ENCODE),
        ("newest-first", "upload", [*_STOPPED, *_BROKEN]),
        ("tag", "tag:video", _ENCODE),
        ("tags", "tags:video,upload", [*_BROKEN, *_ENCODE]),
        ("tag-or-tag", "tag:video+tag:upload", [*_BROKEN, *_ENCODE]),
        ("tag-and-word", "tag:nightly+film", _ENCODE),
        ("tags-are-no-words", "nightly", []),
        ("inputs-are-no-words", "4711", []),
        ("tags-need-their-case", "tag:VIDEO", []),
        ("tasks-are-no-words", "first", []),
        ("results-are-no-words", "it", []),
    )
] + [
    Case("search-of-blanks", "GET", "/jobs?q=%20%20", expected=page(ANY, size=10, pages=2, total=16)),
    Case("search-of-an-empty-tag", "GET", "/jobs?q=tag:", expected=page(ANY, size=10, pages=2, total=16)),
    Case("search-by-id", "GET", "/jobs?q={done}", expected=page([], pages=0)),
]

_ALPHA, _BETA = Like(f"alpha runs\nthe token is {HIDDEN.replace('[', '.').replace(']', '.')}\n"), "beta\n"


def _part(contents: Any) -> dict[str, Any]:
    return {**_PART, "contents": contents}


LOGS = [
    Case("job-log-last-task-first", "GET", "/jobs/{done}/log", expected=page([_part(_BETA), _part(_ALPHA)])),
    Case("job-log-of-one", "GET", "/jobs/{done}/log?size=1", expected=page([_part(_BETA)], pages=2, total=2)),
    Case(
        "job-log-second",
        "GET",
        "/jobs/{done}/log?size=1&page=2",
        expected=page([_part(_ALPHA)], number=2, pages=2, total=2),
    ),
    Case("job-log-past-the-end", "GET", "/jobs/{done}/log?page=3", expected=page([], number=3, pages=1, total=2)),
    Case("job-log-size-0", "GET", "/jobs/{done}/log?size=0", expected=page([_part(_BETA)], pages=2, total=2)),
    Case("job-log-size-101", "GET", "/jobs/{done}/log?size=101", expected=page([ANY, ANY])),
    Case("job-log-search", "GET", "/jobs/{done}/log?q=alpha", expected=page([_part(_ALPHA)])),
    Case("job-log-search-all-words", "GET", "/jobs/{done}/log?q=alpha+beta", expected=page([], pages=0)),
    Case("job-log-search-stem", "GET", "/jobs/{done}/log?q=running", expected=page([_part(_ALPHA)])),
    Case("job-log-search-drops-tags", "GET", "/jobs/{done}/log?q=tag:x", expected=page([ANY, ANY])),
    Case("job-log-search-of-a-secret", "GET", "/jobs/{done}/log?q=hunter2secret", expected=page([], pages=0)),
    Case("task-log", "GET", "/tasks/{first}/log", expected=page([_part(_ALPHA)])),
    Case("task-log-search", "GET", "/tasks/{first}/log?q=token", expected=page([_part(_ALPHA)])),
    Case("task-log-search-in-vain", "GET", "/tasks/{first}/log?q=beta", expected=page([], pages=0)),
    Case("task-without-output", "GET", "/tasks/{right}/log", expected=page([], pages=0)),
    Case("a-running-job-s-log", "GET", "/jobs/{running}/log", expected=page([_part("started\n")])),
]

REFUSED = [
    Case("cancel-done", "PUT", "/jobs/{done}/cancel", 400, message("job is not running")),
    Case("cancel-failed", "PUT", "/jobs/{failed}/cancel", 400, message("job is not running")),
    Case("cancel-cancelled", "PUT", "/jobs/{cancelled}/cancel", 400, message("job is not running")),
    Case("restart-done", "PUT", "/jobs/{done}/restart", 400, message("job is COMPLETED and can not be restarted")),
    Case("restart-running", "PUT", "/jobs/{running}/restart", 400, message("job is RUNNING and can not be restarted")),
]

_NO_TYPE = message("missing content type")

SUBMITTING = [
    *(
        Case(f"as-{kind}", "POST", "/jobs", expected=_SMALL_SUMMARY, body=_SMALL, headers={"Content-Type": kind})
        for kind in (
            "text/yaml",
            "application/x-yaml",
            "application/yaml",
            "text/yaml; charset=utf-8",
            "TEXT/YAML",
            " text/yaml ",
        )
    ),
    *(
        Case(
            f"as-{kind}",
            "POST",
            "/jobs",
            expected=_SMALL_SUMMARY,
            headers={"Content-Type": kind},
            body=as_json({"name": "small", "tasks": [{"name": "quick", "run": "true"}]}),
        )
        for kind in ("application/json", "application/json; charset=utf-8", "Application/JSON")
    ),
    Case("without-a-type", "POST", "/jobs", 400, _NO_TYPE, body=_SMALL),
    Case("with-an-empty-type", "POST", "/jobs", 400, _NO_TYPE, body=_SMALL, headers={"Content-Type": ""}),
    *(
        Case(
            f"as-{kind}",
            "POST",
            "/jobs",
            400,
            message(f"unknown content type: {kind}"),
            body=_SMALL,
            headers={"Content-Type": kind},
        )
        for kind in (
            "text/plain",
            "multipart/form-data",
            "application/xml",
            "yaml",
            "application/x-www-form-urlencoded",
        )
    ),
    *(
        Case(f"body-{name}", "POST", "/jobs", 400, message(told), body=body, headers={"Content-Type": kind})
        for name, kind, body, told in (
            ("empty", "text/yaml", b"", Like(".*the document is empty.*")),
            ("null", "application/json", b"null", Like(".*the document is empty.*")),
            ("list", "application/json", b"[]", Like(".*is a list.*")),
            ("broken-json", "application/json", b'{"name":', Like("1:.*")),
            ("broken-yaml", "text/yaml", b"name: [", Like("2:1: .*")),
            ("yaml-as-json", "application/json", _SMALL, Like("1:1: .*")),
            ("nul", "text/yaml", b"name: a\x00", Like(".*NUL.*")),
            ("no-utf-8", "text/yaml", b"name: \xc3\x28", Like(".*UTF-8.*")),
            ("unknown-key", "text/yaml", b"name: x\ntaks: []\n", Like(".*did you mean 'tasks'.*")),
            ("no-tasks", "text/yaml", b"name: x\n", Like(".*tasks.*")),
            ("bad-wait", "text/yaml", _SMALL + b"wait: {timeout: soon}\n", Like(".*wait.timeout.*not a duration.*")),
            ("deep", "application/json", b'{"a":' * 3000 + b"1" + b"}" * 3000, ANY),
            ("yaml-bomb", "text/yaml", b"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", ANY),
        )
    ),
    Case(
        "body-too-large", "POST", "/jobs", 413, message("Request Entity Too Large"), body=b"#" * 500_001, headers=_YAML
    ),
    Case(
        "body-of-the-largest-size",
        "POST",
        "/jobs",
        200,
        _SMALL_SUMMARY,
        body=_SMALL + b"#" * (500_000 - len(_SMALL)),
        headers=_YAML,
    ),
    Case(
        "chunked",
        "POST",
        "/jobs",
        200,
        _SMALL_SUMMARY,
        headers={**_YAML, "Transfer-Encoding": "chunked"},
        body=b"%X\r\n%b\r\n0\r\n\r\n" % (len(_SMALL), _SMALL),
    ),
    Case(
        "chunked-too-large",
        "POST",
        "/jobs",
        413,
        message("Request Entity Too Large"),
        headers={**_YAML, "Transfer-Encoding": "chunked"},
        body=(b"%X\r\n%b\r\n" % (300_000, b"#" * 300_000)) * 2 + b"0\r\n\r\n",
    ),
    Case(
        "chunked-and-broken",
        "POST",
        "/jobs",
        400,
        message("the chunked body is broken or ends too early"),
        headers={**_YAML, "Transfer-Encoding": "chunked"},
        body=b"zz\r\n",
    ),
    Case(
        "a-long-idempotency-key",
        "POST",
        "/jobs",
        400,
        message("the Idempotency-Key has 256 characters (right would be at most 255)"),
        body=_SMALL,
        headers={**_YAML, "Idempotency-Key": "k" * 256},
    ),
    Case(
        "wait-done",
        "POST",
        "/jobs",
        200,
        Some({"state": "COMPLETED", "execution": [ANY], "secrets": {"s": HIDDEN}}),
        body=_SMALL + b"wait: {timeout: 30s}\nsecrets: {s: 0123456789abc}\n",
        headers=_YAML,
    ),
    Case(
        "wait-failed",
        "POST",
        "/jobs",
        200,
        Some({"state": "FAILED", "error": ANY}),
        body=b"name: f\nwait: {timeout: 30s}\ntasks: [{name: a, run: 'exit 1'}]\n",
        headers=_YAML,
    ),
    Case(
        "wait-in-vain",
        "POST",
        "/jobs",
        408,
        message("timeout waiting for job to complete"),
        body=b"name: w\nwait: {timeout: 50ms}\ntasks: [{name: a, run: sleep 1}]\n",
        headers=_YAML,
    ),
    Case(
        "wait-pretty",
        "POST",
        "/jobs?pretty",
        408,
        b'{\n  "message": "timeout waiting for job to complete"\n}\n',
        body=b"name: w\nwait: {timeout: 50ms}\ntasks: [{name: a, run: sleep 1}]\n",
        headers=_YAML,
    ),
]

CASES = [*READING, *LISTING, *SEARCHING, *LOGS, *REFUSED]
