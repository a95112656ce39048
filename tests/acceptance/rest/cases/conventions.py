"""What holds for every endpoint: JSON, `?pretty`, errors, methods, numbers, and texts that mean nothing good."""

from __future__ import annotations

from tests.support.http_cases import ANY, NUMBER, Case, Like, Some, message, page

_PARTS = {name: {"status": "UP"} for name in ("datastore", "broker", "runtime")}
_JSON = {"content-type": "application/json"}

PRETTY = [
    Case("pretty-health", "GET", "/health?pretty", expected=ANY),
    Case("pretty-with-a-value", "GET", "/metrics?pretty=false"),
    *(
        Case(f"pretty-{name}", method, path, status, body=body, headers=headers)
        for name, method, path, status, body, headers in (
            ("jobs", "GET", "/jobs?page=1&pretty", 200, None, {}),
            ("job", "GET", "/jobs/{done}?pretty", 200, None, {}),
            ("job-log", "GET", "/jobs/{done}/log?pretty", 200, None, {}),
            ("task", "GET", "/tasks/{first}?pretty", 200, None, {}),
            ("task-log", "GET", "/tasks/{first}/log?pretty", 200, None, {}),
            ("nodes", "GET", "/nodes?pretty", 200, None, {}),
            ("queues", "GET", "/queues?pretty", 200, None, {}),
            ("queue", "GET", "/queues/default?pretty", 200, None, {}),
            ("dead", "GET", "/queues/dead?pretty", 200, None, {}),
            ("doctor", "GET", "/doctor?pretty", 200, None, {}),
            ("openapi", "GET", "/openapi.json?pretty", 200, None, {}),
            ("refused-cancel", "PUT", "/jobs/{done}/cancel?pretty", 400, None, {}),
            ("unknown-path", "GET", "/nope?pretty", 404, None, {}),
            ("unknown-job", "GET", "/jobs/nope?pretty", 404, None, {}),
            ("unknown-stream", "GET", "/jobs/nope/events?pretty", 404, None, {}),
            ("wrong-method", "PATCH", "/jobs?pretty", 405, None, {}),
            ("no-content-type", "POST", "/jobs?pretty", 400, b"{}", {}),
            ("too-large", "POST", "/jobs?pretty", 413, b"#" * 500_001, {"Content-Type": "text/yaml"}),
        )
    ),
]

_NOT_ALLOWED = [
    ("PUT", "/jobs", "GET, HEAD, POST, OPTIONS"),
    ("DELETE", "/jobs", "GET, HEAD, POST, OPTIONS"),
    ("PATCH", "/jobs", "GET, HEAD, POST, OPTIONS"),
    ("BREW", "/jobs", "GET, HEAD, POST, OPTIONS"),
    ("POST", "/jobs/{done}", "GET, HEAD, OPTIONS"),
    ("DELETE", "/jobs/{done}", "GET, HEAD, OPTIONS"),
    ("GET", "/jobs/{done}/cancel", "PUT, OPTIONS"),
    ("POST", "/jobs/{done}/restart", "PUT, OPTIONS"),
    ("PUT", "/jobs/{done}/log", "GET, HEAD, OPTIONS"),
    ("POST", "/jobs/{done}/events", "GET, HEAD, OPTIONS"),
    ("PUT", "/tasks/{first}", "GET, HEAD, OPTIONS"),
    ("POST", "/nodes", "GET, HEAD, OPTIONS"),
    ("POST", "/queues", "GET, HEAD, OPTIONS"),
    ("PUT", "/queues/default", "DELETE, GET, HEAD, OPTIONS"),
    ("POST", "/metrics", "GET, HEAD, OPTIONS"),
    ("TRACE", "/health", "GET, HEAD, OPTIONS"),
]

METHODS = [
    *(
        Case(
            f"{method}-{path}".replace("/", "-"),
            method,
            path,
            405,
            message("Method Not Allowed"),
            answered={"allow": allow},
        )
        for method, path, allow in _NOT_ALLOWED
    ),
    *(
        Case(f"HEAD-{path}".replace("/", "-"), "HEAD", path, status, b"", answered=_JSON)
        for path, status in (
            ("/health", 200),
            ("/jobs", 200),
            ("/jobs/{done}", 200),
            ("/jobs/{done}/log", 200),
            ("/metrics", 200),
            ("/jobs/nope", 404),
            ("/nope", 404),
        )
    ),
    Case("HEAD-of-a-stream", "HEAD", "/events", 200, b"", answered={"content-type": "text/event-stream"}),
    Case("OPTIONS-jobs", "OPTIONS", "/jobs", 200, b"", answered={"allow": "GET, HEAD, POST"}),
    Case("OPTIONS-cancel", "OPTIONS", "/jobs/{done}/cancel", 200, b"", answered={"allow": "PUT"}),
    Case("OPTIONS-nowhere", "OPTIONS", "/nope", 404, message("Not Found")),
]

NOT_FOUND = [
    *(
        Case(f"no-path{path}".replace("/", "-"), "GET", path, 404, message("Not Found"))
        for path in (
            "/",
            "/nope",
            "/job",
            "/JOBS",
            "/jobs/{done}/nope",
            "/jobs/{done}/log/nope",
            "/tasks",
            "/v1/jobs",
            "/%2e%2e",
        )
    ),
    *(
        Case(f"no-job-{method}{rest}".replace("/", "-"), method, f"/jobs/{job}{rest}", 404, message("job not found"))
        for job in ("nope", "%00", "0" * 32)
        for method, rest in (
            ("GET", ""),
            ("GET", "/log"),
            ("GET", "/events"),
            ("GET", "/log/stream"),
            ("PUT", "/cancel"),
            ("PUT", "/restart"),
        )
    ),
    *(
        Case(f"no-task{rest}".replace("/", "-"), "GET", f"/tasks/{task}{rest}", 404, message("task not found"))
        for task in ("nope", "%00")
        for rest in ("", "/log", "/log/stream")
    ),
]

_NO_NUMBERS = [
    *((text, text) for text in ("abc", "1.5", "1e3", "0x1", "1,2", "9" * 30)),
    ("%C2%B2", "²"),
]
_FEW = [Some({"name": "waiting job"}), Some({"name": "stopped upload"})]

NUMBERS = [
    Case("first-page", "GET", "/jobs?page=1&size=2", expected=page(_FEW, pages=8, total=16)),
    Case("page-0-is-the-first", "GET", "/jobs?page=0&size=2", expected=page(_FEW, pages=8, total=16)),
    Case("page-below-0-is-the-first", "GET", "/jobs?page=-7&size=2", expected=page(_FEW, pages=8, total=16)),
    Case("page-with-a-sign", "GET", "/jobs?page=%2B1&size=2", expected=page(_FEW, pages=8, total=16)),
    Case("empty-page-is-the-first", "GET", "/jobs?page=&size=2", expected=page(_FEW, pages=8, total=16)),
    Case("last-page-is-short", "GET", "/jobs?page=2", expected=page(ANY, number=2, size=6, pages=2, total=16)),
    Case("page-past-the-end", "GET", "/jobs?page=99", expected=page([], number=99, pages=2, total=16)),
    Case("far-page", "GET", "/jobs?page=999999999999", expected=page([], number=999_999_999_999, pages=2, total=16)),
    Case("no-size", "GET", "/jobs", expected=page(ANY, size=10, pages=2, total=16)),
    Case("size-0-is-1", "GET", "/jobs?size=0", expected=page(_FEW[:1], pages=16, total=16)),
    Case("size-below-0-is-1", "GET", "/jobs?size=-3", expected=page(_FEW[:1], pages=16, total=16)),
    Case("size-above-20-is-20", "GET", "/jobs?size=500", expected=page(ANY, size=16, total=16)),
    *(
        Case(f"page-{text}", "GET", f"/jobs?page={text}", 400, message(f"invalid page number: {told}"))
        for text, told in _NO_NUMBERS
    ),
    *(
        Case(f"size-{text}", "GET", f"/jobs?size={text}", 400, message(f"invalid size: {told}"))
        for text, told in (("abc", "abc"), ("1.5", "1.5"), ("%201", " 1"), ("%00", "\0"), ("NaN", "NaN"))
    ),
    Case("log-page", "GET", "/jobs/{done}/log?page=x", 400, message("invalid page number: x")),
    Case("log-size", "GET", "/jobs/{done}/log?size=x", 400, message("invalid size: x")),
    Case("task-log-page", "GET", "/tasks/{first}/log?page=x", 400, message("invalid page number: x")),
    Case("task-log-size", "GET", "/tasks/{first}/log?size=x", 400, message("invalid size: x")),
    Case("dead-page", "GET", "/queues/dead?page=x", 400, message("invalid page number: x")),
    Case("execution-page", "GET", "/jobs/{done}?executionPage=x", 400, message("invalid executionPage: x")),
    Case("execution-size", "GET", "/jobs/{done}?executionSize=x", 400, message("invalid executionSize: x")),
    Case("dry-run", "POST", "/doctor/fix?dryRun=x", 400, message("invalid dryRun: x (right would be true or false)")),
]

_NONE = page([], pages=0)

HOSTILE = [
    *(
        Case(f"jobs-{name}", "GET", f"/jobs?{query}", expected=_NONE)
        for name, query in (
            ("nul", "q=%00"),
            ("no-utf-8", "q=%FF%FE"),
            ("surrogate", "q=%ED%A0%80"),
            ("emoji", "q=" + "%F0%9F%98%80" * 300),
            ("long-word", "q=" + "a" * 7000),
            ("many-words", "q=" + "a1+" * 2000),
            ("many-tags", "q=" + "tag:zz+" * 1000),
            ("operators", "q=%26%7C%21%28%29%3A%2A%3C-%3E%20x"),
            ("quotes", "q=%27%22%5C%3B--%20drop%20table"),
            ("percent", "q=%25%25s%25%28x%29s"),
            ("nul-tag", "tag=%00"),
            ("nul-prefix", "idPrefix=%00"),
            ("percent-prefix", "idPrefix=%25"),
            ("backslash-prefix", "idPrefix=%5C"),
            ("long-prefix", "idPrefix=" + "a" * 7000),
            ("comma-tags", "tag=,,,zz,,"),
        )
    ),
    Case("a-nul-in-a-log-search", "GET", "/jobs/{done}/log?q=%00", expected=_NONE),
    Case("operators-in-a-log-search", "GET", "/tasks/{first}/log?q=%26%20%7C%20%21zz", expected=_NONE),
    Case("unknown-parameters-do-not-matter", "GET", "/jobs?nope=1&size=2", expected=page(_FEW, pages=8, total=16)),
    Case(
        "accept-does-not-matter",
        "GET",
        "/jobs/nope",
        404,
        message("job not found"),
        headers={"Accept": "application/xml"},
    ),
    Case("a-broken-escape", "GET", "/jobs?q=%zz&size=1", expected=_NONE),
    Case("a-query-that-is-too-long", "GET", "/jobs?q=" + "a" * 9000, 414, message(ANY)),
    Case("a-header-that-is-too-long", "GET", "/jobs", 431, message(ANY), headers={"X-Long": "a" * 9000}),
    Case(
        "a-body-where-none-belongs",
        "GET",
        "/health",
        expected=ANY,
        body=b"{}",
        headers={"Content-Type": "application/json"},
    ),
    Case("a-name-with-a-slash", "GET", "/queues/a%2Fb", 404, message("Not Found")),
]

FIGURES = [
    Case(
        "health",
        "GET",
        "/health",
        expected={"status": "UP", "version": Like(r"\d+\.\d+\.\d+\S*"), "indicators": _PARTS},
    ),
    Case(
        "metrics",
        "GET",
        "/metrics",
        expected={"jobs": {"running": 1}, "tasks": {"running": 1}, "nodes": {"online": 2, "cpuPercent": NUMBER}},
    ),
]

CASES = [*PRETTY, *METHODS, *NOT_FOUND, *NUMBERS, *HOSTILE, *FIGURES]
