"""Requests made at random from the OpenAPI document, right ones and wrong ones, of an admin and of a user with no role: no failure
of the server, and no answer of another shape than the document says.

Half of them are about something that exists. The tasks of what is submitted do nothing: their scripts are random too. `make fuzz`
makes more than 20,000 requests.
"""

from __future__ import annotations

import base64
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.amqp import put
from tests.support.daemon import Daemon
from tests.support.rabbitmq import RabbitMQServer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq, pytest.mark.timeout(3600)]

IS_LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
EXAMPLES = {"admin": 100, "eve": 30} if IS_LONG else {"admin": 4, "eve": 1}
"""Of an operation in one round, by who asks, at most: some operations take nothing that could be different."""
SLOW, SLOW_EXAMPLES = frozenset({"GET /doctor", "POST /doctor/fix"}), 4 if IS_LONG else 1
"""The doctor looks again after two seconds where something seems wrong, and here it does."""
LEAST_REQUESTS = {"admin": 7_500, "eve": 2_500} if IS_LONG else {"admin": 80, "eve": 30}
"""By who asks, once for right ones and once for wrong ones."""
ROUNDS = 20
SEED = 1
"""Of the short run: the same requests each time, some jobs cost much to make."""
DOES_NOTHING = Path(__file__).parents[2] / "bench" / "bench_daemon.py"
LASTING = "(events|stream)$"
"""Streams last as long as the client likes."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
KEY, PASSWORD = "of the configuration", "correct-horse"

JOB = {
    "name": "there",
    "secrets": {"token": "hunter2secret"},
    "tasks": [{"name": "t", "run": "true"}],
    "webhooks": [{"url": "http://127.0.0.1:9/", "event": "job.StatusChange"}],
}
SCHEDULED = {"name": "again", "schedule": {"cron": "@daily"}, "tasks": [{"name": "t", "run": "true"}]}
sent: Counter[int] = Counter()
sent_by: Counter[str] = Counter()


@dataclass(frozen=True)
class Asked:
    """The daemon, who asks it and how, and what there is."""

    daemon: Daemon
    amqp_url: str
    numbers: Iterator[int]
    admin_key: str

    def headers(self, who: str) -> dict[str, str]:
        """The admin is a named key, the other one a user with no role."""
        if who == "admin":
            return {"Authorization": f"Bearer {self.admin_key}"}
        return {"Authorization": "Basic " + base64.b64encode(f"{who}:{PASSWORD}".encode()).decode()}

    def make(self, path: str, document: Any) -> Any:
        """Something new, as an admin."""
        headers = {**self.headers("admin"), "Content-Type": "application/json"}
        return self.daemon.call("POST", path, json.dumps(document).encode(), headers)

    def known(self, path: str, who: str) -> dict[str, str]:
        """What the parameters of this path may be: something new, for each time it may be removed or changed."""
        name = f"n{next(self.numbers)}"
        found: dict[str, str] = {}
        if "{job_id}" in path or "{task_id}" in path:
            found["job_id"] = self.make("/jobs", JOB)["id"]
            job = self.daemon.call("GET", f"/jobs/{found['job_id']}", headers=self.headers("admin"))
            found["task_id"] = job["execution"][0]["id"]
        if "{schedule_id}" in path:
            found["schedule_id"] = self.make("/scheduled-jobs", SCHEDULED)["id"]
        if "{user}" in path:
            account = {"username": name, "password": PASSWORD}
            found["user"] = "me" if who != "admin" else self.make("/users", account)["username"]
        if "{role}" in path:
            found["role"] = self.make("/roles", {"slug": name, "name": name})["slug"]
        if "{key}" in path:
            found["key"] = self.make("/keys", {"name": name})["name"]
        if "{name}" in path:
            found["name"] = "default"
        if "{letter_id}" in path:
            found["letter_id"] = self.bury()
        return found

    def bury(self) -> str:
        """A message that could not be handled; its id."""
        put(self.amqp_url, "completed", b'{"v": 1, "jobId": ["no"], "result": "x"}')
        letters: list[Any] = []

        def has_come() -> bool:
            answer = self.daemon.call("GET", "/queues/dead?size=20", headers=self.headers("admin"))
            letters[:] = answer["items"]
            return bool(letters)

        wait_until(has_come, timeout=20)
        return str(letters[0]["id"])


@pytest.fixture(scope="module")
def asked(rabbitmq_server: RabbitMQServer) -> Iterator[Asked]:
    virtual_host = "random-requests"
    rabbitmq_server.make_virtual_host(virtual_host)
    url = rabbitmq_server.url(virtual_host)
    environment = {
        "TORK_RUNTIME_TYPE": "noop",
        "TORK_BROKER_TYPE": "rabbitmq",
        "TORK_BROKER_RABBITMQ_URL": url,
        "TORK_BROKER_RABBITMQ_MANAGEMENT_URL": rabbitmq_server.management_url,
        "TORK_MIDDLEWARE_WEB_BASICAUTH_ENABLED": "true",
        "TORK_MIDDLEWARE_WEB_KEYAUTH_ENABLED": "true",
        "TORK_MIDDLEWARE_WEB_KEYAUTH_KEY": KEY,
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    with Daemon(environment, command=(str(DOES_NOTHING),)) as daemon:
        asked = Asked(daemon, url, count(), KEY)
        asked.make("/users", {"username": "eve", "password": PASSWORD})
        yield Asked(daemon, url, count(), asked.make("/keys", {"name": "tests", "roles": ["admin"]})["key"])
    rabbitmq_server.remove_virtual_host(virtual_host)


def operations_of(asked: Asked) -> list[Any]:
    headers = asked.headers("admin")
    document = schemathesis.openapi.from_url(f"{asked.daemon.endpoint}/openapi.json", headers=headers)
    found: list[Any] = list(document.exclude(path_regex=LASTING).get_all_operations())
    return [operation.ok() for operation in found]


def exercise(operation: Any, asked: Asked, who: str, mode: GenerationMode) -> None:
    """Send requests to one operation: all right, or each with something wrong."""
    headers, known = asked.headers(who), asked.known(operation.path, who)

    @settings(
        max_examples=SLOW_EXAMPLES if operation.label in SLOW else EXAMPLES[who],
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(case=operation.as_strategy(generation_mode=mode), is_known=st.booleans())
    def send(case: Any, is_known: bool) -> None:
        if is_known and isinstance(case.path_parameters, dict):
            case.path_parameters.update(known)
        if isinstance(case.body, dict):
            case.body.pop("wait", None)  # it may be for hours
            if is_known and operation.path.endswith("/password"):
                case.body.update(password=PASSWORD, current=PASSWORD)  # it stays as it is
        answer = case.call(timeout=30, headers=headers)
        sent[answer.status_code] += 1
        sent_by[f"{who} {mode.value}"] += 1
        case.validate_response(answer, checks=CHECKS)

    (send if IS_LONG else seed(SEED)(send))()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize("who", ["admin", "eve"])
def test_no_request_is_a_failure_of_the_server(asked: Asked, who: str, mode: GenerationMode) -> None:
    failures: dict[str, str] = {}
    operations = operations_of(asked)
    for _ in range(ROUNDS):
        for operation in operations:
            if operation.label in failures:
                continue
            try:
                exercise(operation, asked, who, mode)
            except Unsatisfiable:
                continue  # nothing can be wrong with a request that has no parts
            except (AssertionError, FailureGroup) as failure:
                failures[operation.label] = f"{operation.label}: {failure}"
        if sent_by[f"{who} {mode.value}"] >= LEAST_REQUESTS[who]:
            break
    assert not failures, "\n\n".join(failures.values())
    assert sent_by[f"{who} {mode.value}"] >= LEAST_REQUESTS[who]


def test_many_requests_were_made_and_some_of_them_were_right(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{sent.total()} random requests; by status: {dict(sorted(sent.items()))}")
    assert sent.total() >= 2 * sum(LEAST_REQUESTS.values()), sent
    assert sent[200] > sent.total() / 10, sent
    assert "failed unexpectedly" not in asked.daemon.log.read_text(errors="replace")
