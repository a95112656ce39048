"""`POST /jobs`: in which formats and sizes a job is taken, what is refused, and the answers to those that wait."""

from __future__ import annotations

from tests.acceptance.rest.cases.jobs import GUEST, HIDDEN
from tests.acceptance.rest.stored import as_json
from tests.support.http_cases import ANY, ID, TIME, Case, Like, Some, message

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
_NO_TYPE = message("missing content type")

CASES = [
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
