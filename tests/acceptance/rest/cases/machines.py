"""`/nodes`, `/queues`, `/doctor`: the machines and what waits for them."""

from __future__ import annotations

from typing import Any

from tests.support.http_cases import ANY, NUMBER, TIME, Case, Like, Some, message, page

_NODE: dict[str, Any] = {
    "id": Like("[0-9A-Za-z]{22}"),
    "startedAt": TIME,
    "lastHeartbeatAt": TIME,
    "cpuPercent": NUMBER,
    "taskCount": NUMBER,
    "version": ANY,
    "status": "UP",
    "hostname": ANY,
}
_DEFAULT = {"name": "default", "size": 0, "subscribers": 8, "unacked": 1}

_COORDINATOR = {**_NODE, "name": "Coordinator", "port": NUMBER}
_WORKER = {**_NODE, "name": "Worker", "queue": Like("x-.*")}  # how many tasks it runs it tells a heartbeat later
_COMPLETED = {"name": "completed", "size": 0, "subscribers": 1, "unacked": NUMBER}

CASES = [
    Case("nodes-by-name", "GET", "/nodes", expected=[_COORDINATOR, _WORKER]),
    Case("queues", "GET", "/queues", expected=Some([_DEFAULT])),
    Case("a-queue", "GET", "/queues/default", expected=_DEFAULT),
    Case("a-queue-of-coordinators", "GET", "/queues/completed", expected=_COMPLETED),
    Case("no-queue", "GET", "/queues/nope", 404, message("queue nope not found")),
    Case("no-queue-with-a-nul", "GET", "/queues/%00", 404, message("queue \0 not found")),
    Case("empty-a-queue", "DELETE", "/queues/default", 200, b""),
    Case("empty-no-queue", "DELETE", "/queues/nope", 404, message("queue nope not found")),
    *(
        Case(f"empty-{name}", "DELETE", f"/queues/{name}", 400, message(f"queue {name} is not a task queue"))
        for name in ("completed", "jobs", "pending", "heartbeat", "x-abc")
    ),
    Case("no-dead-letters", "GET", "/queues/dead", expected=page([], pages=0)),
    Case("no-such-dead-letter", "GET", "/queues/dead/nope", 404, message("dead letter nope not found")),
    Case("remove-no-dead-letter", "DELETE", "/queues/dead/nope", 404, message("dead letter nope not found")),
    Case("replay-no-dead-letter", "POST", "/queues/dead/nope/replay", 404, message("dead letter nope not found")),
    Case("remove-dead-letters", "DELETE", "/queues/dead", 200, {"removed": 0}),
    Case("doctor", "GET", "/doctor", expected={"ok": True, "checks": ANY}),
    Case("doctor-dry-run", "POST", "/doctor/fix?dryRun=true", expected={"dryRun": True, "repairs": [], "after": ANY}),
    Case("doctor-fix", "POST", "/doctor/fix", expected={"dryRun": False, "repairs": [], "after": ANY}),
    Case("openapi", "GET", "/openapi.json", expected=Some({"openapi": "3.1.0"})),
]
