"""`/jobs` and `/tasks`: every shape to the last field, lists, searches and logs, and what can't be done in which state."""

from __future__ import annotations

from typing import Any

from tests.acceptance.rest.stored import DONE, FAILED
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
_RIGHT = {**_RAN, "name": "right", "itemIndex": 1, "position": 2, "parentId": ID, "run": "true"}
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
    Case(
        "retry-done",
        "PUT",
        "/jobs/{done}/retry",
        400,
        message("job is COMPLETED and can not be retried"),
        body=b'{"failed": true}',
    ),
    Case(
        "retry-running",
        "PUT",
        "/jobs/{running}/retry",
        400,
        message("job is RUNNING and nothing in it has failed"),
        body=b'{"failed": true}',
    ),
    Case(
        "retry-a-task-of-another-job",
        "PUT",
        "/jobs/{failed}/retry",
        404,
        message("task not found"),
        body=b'{"task": "00000000000000000000000000000000"}',
    ),
    Case(
        "skip-done",
        "PUT",
        "/tasks/{right}/skip",
        400,
        message("task is COMPLETED and can not be skipped"),
        body=b'{"reason": "by hand"}',
    ),
    Case("restart-running", "PUT", "/jobs/{running}/restart", 400, message("job is RUNNING and can not be restarted")),
]

CASES = [*READING, *LISTING, *SEARCHING, *LOGS, *REFUSED]
