"""A small API server with a job store in memory, which can misbehave: refuse, drop, cut, stall, go away and come back.

It follows the API's contract for what torkctl calls: jobs, tasks, logs and both event streams, resumed by Last-Event-ID.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

CREATED_AT = "2026-01-02T03:04:05Z"
STARTED_AT = "2026-01-02T03:04:06Z"
ENDED_AT = "2026-01-02T03:04:09.2Z"
_ENDED = {"COMPLETED", "FAILED", "CANCELLED"}


@dataclass
class Recorded:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Fault:
    """What goes wrong with requests whose path ends with `path`, how often, and from which stream event on."""

    path: str
    action: str
    """`status`, `drop` (no answer); of a stream `cut`, `close` (its clean end), `stall` (silence), `reset` (and silence)."""

    times: int = 1
    status: int = 502
    after_events: int = 0
    method: str = "GET"
    carry_out: bool = False
    """Whether the request is carried out before its answer is lost."""

    body: bytes = b"<html>Bad Gateway</html>"
    headers: dict[str, str] = field(default_factory=dict)


class FakeApi:
    """The server. `url` stays the same over a restart; everything else is for tests to set and to look at."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.jobs: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, list[dict[str, Any]]] = {}
        self.log_end: dict[str, Any] = {}
        """What the end of a log says beside the state."""
        self.versions: dict[str, int] = {}
        self.task_events: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        self.requests: list[Recorded] = []
        self.faults: list[Fault] = []
        self.has_streams = True
        self.on_submit: Callable[[str], None] = lambda _job_id: None
        self.health: tuple[int, dict[str, Any]] = (200, {"status": "UP", "version": "0.1.0"})
        self.generation = 0
        self._connections: set[socket.socket] = set()
        self._keys: dict[str, str] = {}
        self._number = 0
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen, on the same port as before."""
        fake = self

        class Handler(_Handler):
            api = fake

        server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        server.daemon_threads = True
        server.block_on_close = False
        server.handle_error = lambda *_args: None  # type: ignore[method-assign] # clients that leave are no error here
        self._server = server
        self._port = server.server_address[1]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Go away, and break every connection."""
        with self.changed:
            self.generation += 1
            self.changed.notify_all()
        assert self._server
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._connections):
            _break(connection)

    def add_job(self, job_id: str, *, state: str = "RUNNING", **more: Any) -> str:
        """A job in the store."""
        job = {
            "id": job_id, "name": "etl", "state": state, "createdAt": CREATED_AT, "startedAt": STARTED_AT, "position": 1,
            "taskCount": 1, "tasks": [{"name": "build", "run": "true"}], "execution": [], "context": {},
        }  # fmt: skip
        with self.changed:
            self.jobs[job_id] = {**job, **more}
            self.logs.setdefault(job_id, [])
            self.task_events.setdefault(job_id, [])
            self.versions[job_id] = 1
            self.changed.notify_all()
        return job_id

    def change(self, job_id: str, **changes: Any) -> None:
        """The job changes, and streams tell."""
        with self.changed:
            self.jobs[job_id].update(changes)
            self.versions[job_id] += 1
            self.changed.notify_all()

    def end(self, job_id: str, state: str = "COMPLETED", **more: Any) -> None:
        """The job ends."""
        moment = "failedAt" if state == "FAILED" else "completedAt"
        self.change(job_id, state=state, **{moment: ENDED_AT}, **more)

    def add_task(self, job_id: str, task_id: str, *, state: str = "RUNNING", **more: Any) -> None:
        """A task of the job appears or changes."""
        with self.changed:
            known = [task for task in self.jobs[job_id]["execution"] if task["id"] != task_id]
            task = {"id": task_id, "jobId": job_id, "position": 1, "state": state, "startedAt": STARTED_AT, **more}
            self.jobs[job_id]["execution"] = [*known, task]
            self.versions[job_id] += 1
            self.task_events[job_id].append((self.versions[job_id], task))
            self.changed.notify_all()

    def log(
        self, job_id: str, contents: str, *, task_id: str = "t1", created_at: str = STARTED_AT, **more: Any
    ) -> None:
        """A task prints."""
        with self.changed:
            parts = self.logs[job_id]
            number = 1 + sum(part["taskId"] == task_id for part in parts)
            part = {"id": f"p{len(parts) + 1}", "number": number, "taskId": task_id, "contents": contents}
            parts.append({**part, "createdAt": created_at, "run": "r1", **more})
            self.changed.notify_all()

    def fail(self, path: str, action: str, **more: Any) -> None:
        """Requests to a path that ends so will go wrong."""
        with self.changed:
            self.faults.append(Fault(path, action, **more))

    def requests_to(self, ending: str, method: str = "GET") -> list[Recorded]:
        """What arrived for paths that end so."""
        with self.changed:
            return [seen for seen in self.requests if seen.method == method and seen.path.endswith(ending)]

    def summary(self, job_id: str) -> dict[str, Any]:
        """The job in short."""
        hidden = {"tasks", "execution", "context", "output"}
        return {name: value for name, value in self.jobs[job_id].items() if name not in hidden}

    def submit(self, request: Recorded) -> dict[str, Any]:
        """A new job; a known key gives the known one."""
        key = request.headers.get("idempotency-key", "")
        with self.changed:
            if key not in self._keys:
                self._keys[key] = self.add_job(
                    f"{len(self.jobs) + 0xAB00 + 0x10000 * self._number:032x}", state="PENDING"
                )
                as_submitted = self.summary(self._keys[key])
                self.on_submit(self._keys[key])
                return as_submitted
            return {**self.summary(self._keys[key])}

    def forget(self) -> None:
        """Be a server that was set up anew."""
        with self.changed:
            self._keys.clear()
            self.jobs.clear()
            self._number += 1

    def take_fault(self, method: str, path: str) -> Fault | None:
        """The fault for this request, if there is one left."""
        with self.changed:
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and path.endswith(fault.path):
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    api: FakeApi
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.api._connections.add(self.connection)

    def finish(self) -> None:
        self.api._connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's own word
        return

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (OSError, ValueError):
            self.close_connection = True

    def do_GET(self) -> None:
        self._handle()

    do_PUT = do_POST = do_GET  # noqa: N815 - the base class's own words

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Recorded(self.command, parts.path, query, headers, body)
        with self.api.changed:
            self.api.requests.append(request)
        fault = self.api.take_fault(self.command, parts.path)
        is_stream = parts.path.endswith(("/events", "/stream"))
        if fault and fault.action == "status":
            self._answer_bytes(fault.status, fault.body, headers=fault.headers)
        elif fault and not is_stream:
            if fault.carry_out:
                self._route(request, send=False)
            self._misbehave(fault)
        elif is_stream and self.api.has_streams:
            self._stream(request, fault)
        else:
            self._route(request)

    def _misbehave(self, fault: Fault) -> None:
        if fault.action == "stall":
            self._stall()
        _break(self.connection)
        self.close_connection = True

    def _stall(self) -> None:
        generation = self.api.generation
        with self.api.changed:
            self.api.changed.wait_for(lambda: self.api.generation != generation)

    def _route(self, request: Recorded, *, send: bool = True) -> None:
        status, document = self._respond(request)
        if send:
            self._answer_bytes(status, json.dumps(document).encode(), "application/json")

    def _respond(self, request: Recorded) -> tuple[int, Any]:
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["health"]:
                return self.api.health
            case "POST", ["jobs"]:
                return 200, self.api.submit(request)
            case "GET", ["jobs"]:
                return 200, self._list(request.query)
            case "GET", ["jobs", job_id] if job_id in self.api.jobs:
                summary_only = request.query.get("execution") == "none"
                job = self.api.jobs[job_id]
                return 200, {**self.api.summary(job_id), "tasks": job["tasks"]} if summary_only else job
            case "GET", ["jobs", job_id, "log"] if job_id in self.api.jobs:
                return 200, _page(list(reversed(self.api.logs[job_id])), request.query)
            case "GET", ["tasks", task_id, *rest]:
                return self._task(task_id, rest, request.query)
            case "PUT", ["jobs", job_id, verb] if job_id in self.api.jobs:
                return self._change(job_id, verb)
            case _, ["jobs", _, *_]:
                return 404, {"message": "job not found"}
        return 404, {"message": "Not Found"}

    def _list(self, query: dict[str, str]) -> dict[str, Any]:
        states = query.get("state", "").split(",") if query.get("state") else []
        found = [
            self.api.summary(job_id)
            for job_id, job in reversed(self.api.jobs.items())
            if job_id.startswith(query.get("idPrefix", "")) and (not states or job["state"] in states)
        ]
        return _page(found, query, largest=20)

    def _task(self, task_id: str, rest: list[str], query: dict[str, str]) -> tuple[int, Any]:
        for job_id, job in self.api.jobs.items():
            for task in job["execution"]:
                if task["id"] == task_id:
                    parts = [part for part in reversed(self.api.logs[job_id]) if part["taskId"] == task_id]
                    return 200, _page(parts, query) if rest == ["log"] else task
        return 404, {"message": "task not found"}

    def _change(self, job_id: str, verb: str) -> tuple[int, Any]:
        state = self.api.jobs[job_id]["state"]
        if verb == "cancel":
            if state in _ENDED:
                return 400, {"message": "job is not running"}
            self.api.end(job_id, "CANCELLED")
        else:
            if state not in {"FAILED", "CANCELLED"}:
                return 400, {"message": f"job is {state} and can not be restarted"}
            self.api.change(job_id, state="RUNNING")
        return 200, {"status": "OK"}

    def _answer_bytes(
        self, status: int, body: bytes, media_type: str = "text/html", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, request: Recorded, fault: Fault | None) -> None:
        job_id = request.path.strip("/").split("/")[1]
        if job_id not in self.api.jobs:
            self._answer_bytes(404, b'{"message":"job not found"}', "application/json")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        position = int(request.headers.get("last-event-id", "0") or 0)
        self._write_events(job_id, request.path.endswith("/log/stream"), position, fault)
        self.close_connection = True

    def _write_events(self, job_id: str, is_log: bool, position: int, fault: Fault | None) -> None:
        generation, written = self.api.generation, 0
        while True:
            for number, kind, data in self._events_after(job_id, is_log, position):
                if fault and written >= fault.after_events:
                    self._break_stream(fault)
                    return
                event = f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
                written += 1
                position = max(position, number)
                if kind == "end":
                    self.wfile.write(b"0\r\n\r\n")
                    return
            if fault and written >= fault.after_events:
                self._break_stream(fault)
                return
            self._await_events(job_id, is_log, position, generation)
            if self.api.generation != generation:
                return

    def _await_events(self, job_id: str, is_log: bool, position: int, generation: int) -> None:
        with self.api.changed:
            self.api.changed.wait_for(
                lambda: self.api.generation != generation or self._events_after(job_id, is_log, position), timeout=30
            )

    def _break_stream(self, fault: Fault) -> None:
        if fault.action == "close":
            self.wfile.write(b"0\r\n\r\n")
            return
        if fault.action == "reset":
            event = b"event: reset\ndata: {}\n\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self._stall()
        self._misbehave(fault)

    def _events_after(self, job_id: str, is_log: bool, position: int) -> list[tuple[int, str, Any]]:
        with self.api.changed:
            ended = self.api.jobs[job_id]["state"] in _ENDED
            if is_log:
                parts = self.api.logs[job_id]
                fresh = [(index, "log", part) for index, part in enumerate(parts, 1) if index > position]
                end = (len(parts), "end", {"state": self.api.jobs[job_id]["state"], **self.api.log_end})
                return [*fresh, end] if ended else fresh
            version = self.api.versions[job_id]
            tasks = [(number, "task", task) for number, task in self.api.task_events[job_id] if number > position]
            job = [(version, "end" if ended else "job", self.api.summary(job_id))]
            return [*tasks, *job] if version > position or ended else []


def _page(items: list[Any], query: dict[str, str], *, largest: int = 100) -> dict[str, Any]:
    size = max(1, min(largest, int(query.get("size", 10))))
    number = max(1, int(query.get("page", 1)))
    shown = items[(number - 1) * size : number * size]
    totals = {"totalPages": -(-len(items) // size), "totalItems": len(items)}
    return {"items": shown, "number": number, "size": len(shown), **totals}


def _break(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is gone already
