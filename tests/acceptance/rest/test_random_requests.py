"""Requests made at random from the OpenAPI document, right ones and wrong ones: no failure of the server, and no answer of
another shape than the document says.

The tasks of what is submitted do nothing: their scripts are random too. `make fuzz` makes more than 20,000 requests.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.daemon import Daemon

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(3600)]

IS_LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
EXAMPLES = 400 if IS_LONG else 6
LEAST_REQUESTS = 20_000 if IS_LONG else 150
DOES_NOTHING = Path(__file__).parents[2] / "bench" / "bench_daemon.py"
LASTING = "(events|stream)$"
"""Streams last as long as the client likes."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
sent: Counter[int] = Counter()


@pytest.fixture(scope="module")
def idle_daemon() -> Iterator[Daemon]:
    environment = {"TORK_RUNTIME_TYPE": "noop", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    with Daemon(environment, command=(str(DOES_NOTHING),)) as running:
        yield running


def operations_of(daemon: Daemon) -> list[Any]:
    document = schemathesis.openapi.from_url(f"{daemon.endpoint}/openapi.json").exclude(path_regex=LASTING)
    found: list[Any] = list(document.get_all_operations())
    return [operation.ok() for operation in found]


def exercise(operation: Any, mode: GenerationMode) -> None:
    """Send requests to one operation: all right, or each with something wrong."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=not IS_LONG,
        database=None,
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        if isinstance(case.body, dict):
            case.body.pop("wait", None)  # it may be for hours
        answer = case.call(timeout=30)
        sent[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    send()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
def test_no_request_is_a_failure_of_the_server(idle_daemon: Daemon, mode: GenerationMode) -> None:
    failures = []
    for operation in operations_of(idle_daemon):
        try:
            exercise(operation, mode)
        except Unsatisfiable:
            continue  # nothing can be wrong with a request that has no parts
        except (AssertionError, FailureGroup) as failure:
            failures.append(f"{operation.label}: {failure}")
    assert not failures, "\n\n".join(failures)


def test_many_requests_were_made_and_some_of_them_were_right(idle_daemon: Daemon) -> None:
    assert sent.total() >= LEAST_REQUESTS, sent
    assert sent[200] > sent.total() / 10, sent
    assert "failed unexpectedly" not in idle_daemon.log.read_text(errors="replace")
