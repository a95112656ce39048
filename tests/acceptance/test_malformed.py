"""Damaged job files at the real server: each is a job or is refused with clear lines; nothing is an error of the server.

The files come from the generator of the definition's own tests, where ten thousand of them are tried offline.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.unit.definition.test_fuzz import a_damaged_file

FILES = 400
KINDS = {"json": "application/json", "yaml": "text/yaml"}
BOMBS = {
    "nesting": b"[" * 100_000,
    "nested-maps": b"{a: " * 50_000,
    "aliases": b"a: &a [x]\n" + b"".join(b"b%d: &b%d [%s]\n" % (n, n, b"*a, " * 9) for n in range(1, 20)),
    "aliases-of-aliases": b"a0: &a0 [x]\n"
    + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 20)),
    "nul-bytes": b"name: x\0\ntasks: []\n",
    "binary": bytes(range(256)) * 100,
    "utf-16": "name: x\ntasks: [{name: a}]\n".encode("utf-16"),
    "empty": b"",
    "a-number": b"7",
    "wide": b"name: x\ntasks:\n" + b"- {name: a}\n" * 39_000,
    "long-line": b"name: " + b"x" * 499_000,
    "json-deep": b'{"name":' * 40_000,
    "json-number": b'{"name": "x", "tasks": [{"name": "a", "priority": 1e999999}]}',
}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One that runs no script, for who knows what a damaged one would do: `true` gets its path and ignores it."""
    with Daemon({"TORK_RUNTIME_SHELL_CMD": "true", "TORK_WORKER_QUEUES_DEFAULT": "2"}) as running:
        yield running


def post(daemon: Daemon, body: bytes, kind: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
    try:
        connection.request("POST", "/jobs", body, {"Content-Type": kind})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def check(status: int, document: Any, what: object) -> None:
    assert status in {200, 400, 408, 413}, (what, status, document)
    assert ("message" in document) == (status != 200), (what, document)
    if status == 400:
        assert all(line.isprintable() and line for line in document["message"].splitlines()), (what, document)


def test_damaged_files_are_jobs_or_are_refused(daemon: Daemon) -> None:
    def send(number: int) -> int:
        document, format_ = a_damaged_file(number)
        body = document.encode(errors="replace") if isinstance(document, str) else document
        status, answered = post(daemon, body, KINDS[format_])
        check(status, answered, number)
        return status

    with ThreadPoolExecutor(4) as clients:
        statuses = list(clients.map(send, range(FILES)))
    assert statuses.count(400) > FILES // 2


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused(daemon: Daemon, body: bytes, kind: str) -> None:
    status, document = post(daemon, body, kind)
    check(status, document, kind)
    assert status in {400, 413}


def test_the_log_has_no_traceback_and_the_daemon_goes_on(daemon: Daemon) -> None:
    assert "Traceback" not in daemon.log.read_text()
    assert (
        daemon.wait(daemon.submit({"name": "fine", "tasks": [{"name": "a", "run": "exit 1"}]}))["state"] == "COMPLETED"
    )
