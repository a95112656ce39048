"""The text that Prometheus reads: complete, well-formed, named by the rules, and the same as in the docs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.architecture.tree import ROOT
from tests.support.api_fakes import FakeReading
from tork.errors import BrokerUnavailable, DatastoreUnavailable
from tork.job import JobState
from tork.node import Queue
from tork.task import TaskState
from torkd.broker.memory import MemoryBroker
from torkd.checks import Checks
from torkd.coordinator.observing import Tally
from torkd.datastore.webhook_protocol import WebhookFigures
from torkd.metrics.meters import Meters

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

TEXT = "text/plain"
OPEN = "application/openmetrics-text"
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
UNITS = ("seconds", "bytes", "ratio", "characters", "messages")


class Counting:
    def __init__(self) -> None:
        self.reading = FakeReading(MemoryBroker())
        self.queues = [
            Queue(name="default", size=5, subscribers=2, unacked=1),
            Queue(name="x-node", size=9, subscribers=1, unacked=0),
            Queue(name="dead", size=3, subscribers=0, unacked=0),
        ]
        self.broker_failure: Exception | None = None
        self.meters = Meters(
            "0.1",
            Checks({"datastore": self.reading.metrics}),
            figures=self.reading.figures,
            webhooks=lambda: WebhookFigures(delivered=8, given_up=1, waiting=3, failing=2),
            queues=self.list_queues,
        )

    def list_queues(self) -> list[Queue]:
        if self.broker_failure is not None:
            raise self.broker_failure
        return self.queues

    def count_something(self) -> None:
        self.meters.batch_handled(
            Tally(
                events=7,
                jobs_created=1,
                jobs_ended=[(JobState.COMPLETED, 2.0), (JobState.CANCELLED, None)],
                jobs_cancelled_along=2,
                tasks_ended=Counter({TaskState.COMPLETED: 3}),
                runs_ended=[(TaskState.COMPLETED, 0.2)],
                queued=[0.01, 3.0],
                handed_out=4,
                retried=1,
                runs_lost=1,
                runs_handed_back=1,
                redelivered=1,
            ),
            0.004,
        )
        self.meters.batch_put_off()
        self.meters.event_buried()
        self.meters.log_parts_stored(2, 300)
        self.meters.streams_open(6)
        self.meters.request_served(method="GET", route="/jobs/{job_id}", status=200, seconds=0.01)

    def families(self) -> dict[str, Metric]:
        text, _ = self.meters.exposition(TEXT)
        return {family.name: family for family in parse_text(text.decode())}

    def values(self) -> dict[tuple[str, ...], float]:
        """Name and label values of every sample."""
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in self.families().values()
            for sample in family.samples
        }


@pytest.fixture
def counting() -> Counting:
    counting = Counting()
    counting.count_something()
    return counting


def ours(counting: Counting) -> Iterator[Metric]:
    return (family for name, family in counting.families().items() if name.startswith("tork_"))


def test_what_was_counted_is_told(counting: Counting) -> None:
    values = counting.values()
    expected = {
        ("tork_jobs_created_total",): 1,
        ("tork_jobs_ended_total", "COMPLETED"): 1,
        ("tork_jobs_ended_total", "CANCELLED"): 3,
        ("tork_job_duration_seconds_sum", "COMPLETED"): 2,
        ("tork_tasks_ended_total", "COMPLETED"): 3,
        ("tork_tasks_handed_out_total",): 4,
        ("tork_task_queue_seconds_bucket", "0.02"): 1,
        ("tork_task_queue_seconds_count",): 2,
        ("tork_task_run_seconds_count", "COMPLETED"): 1,
        ("tork_task_retries_total",): 1,
        ("tork_task_runs_lost_total",): 1,
        ("tork_task_runs_handed_back_total",): 1,
        ("tork_task_redeliveries_total",): 1,
        ("tork_batch_events_sum",): 7,
        ("tork_batch_duration_seconds_bucket", "0.005"): 1,
        ("tork_batches_put_off_total",): 1,
        ("tork_events_buried_total",): 1,
        ("tork_log_parts_total",): 2,
        ("tork_log_characters_total",): 300,
        ("tork_http_streams",): 6,
        ("tork_http_requests_total", "GET", "/jobs/{job_id}", "200"): 1,
        ("tork_http_request_duration_seconds_count", "GET", "/jobs/{job_id}"): 1,
    }
    assert {name: values.get(name) for name in expected} == expected


def test_what_is_looked_up_is_told(counting: Counting) -> None:
    values = counting.values()
    expected = {
        ("tork_webhooks_delivered_total",): 8,
        ("tork_webhooks_given_up_total",): 1,
        ("tork_webhooks_waiting",): 3,
        ("tork_webhook_addresses_failing",): 2,
        ("tork_jobs", "RUNNING"): 1,
        ("tork_jobs", "PENDING"): 0,
        ("tork_tasks", "SCHEDULED"): 3,
        ("tork_outbox_messages",): 4,
        ("tork_outbox_age_seconds",): 1.5,
        ("tork_nodes", "worker", "UP"): 1,
        ("tork_nodes", "worker", "OFFLINE"): 0,
        ("tork_nodes_cpu_ratio", "worker"): 0.5,
        ("tork_worker_tasks",): 2,
        ("tork_queue_messages", "default"): 5,
        ("tork_queue_unacknowledged_messages", "default"): 1,
        ("tork_queue_consumers", "default"): 2,
        ("tork_dead_letters",): 3,
        ("tork_up", "datastore"): 1,
        ("tork_build_info", "0.1"): 1,
    }
    assert {name: values.get(name) for name in expected} == expected


def test_the_private_queues_of_nodes_are_no_figures(counting: Counting) -> None:
    assert not any("x-node" in name for name in counting.values())


def test_the_process_tells_its_own_use_of_the_machine(counting: Counting) -> None:
    assert counting.values()[("process_resident_memory_bytes",)] > 0


def test_a_server_that_is_away_takes_only_its_own_figures_along() -> None:
    counting = Counting()
    counting.count_something()
    counting.reading.failure = DatastoreUnavailable("it is away")
    counting.broker_failure = BrokerUnavailable("it is away")
    values = counting.values()
    assert values["tork_up", "datastore"] == 0
    assert values[("tork_jobs_created_total",)] == 1
    assert not any(name[0] in {"tork_jobs", "tork_queue_messages"} for name in values)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (TEXT, TEXT),
        ("text/plain;version=0.0.4", TEXT),
        ("text/*", TEXT),
        (OPEN, OPEN),
        (PROMETHEUS, OPEN),
        ("*/*", "application/json"),
        (None, "application/json"),
        ("", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json"),
        ("nonsense", "application/json"),
        ("image/png", "application/json"),
    ],
)
def test_the_format_is_the_one_that_is_asked_for(api: Api, counting: Counting, accept: str | None, kind: str) -> None:
    api.serve(figures=counting.meters)
    answer = api.get("/metrics", headers={} if accept is None else {"Accept": accept})
    assert answer.headers["content-type"].partition(";")[0] == kind
    if kind == OPEN:
        assert answer.text.endswith("# EOF\n")
        families = parse_openmetrics(answer.text)  # type: ignore[no-untyped-call] # prometheus-client leaves it without types
        assert "tork_jobs_created" in {family.name for family in families}
    elif kind == TEXT:
        assert "tork_jobs_created" in {family.name for family in parse_text(answer.text)}
    else:
        assert answer.json["jobs"] == {"running": 0}


def test_requests_are_counted_by_route_and_unknown_paths_as_one(api: Api, counting: Counting) -> None:
    api.serve(figures=counting.meters)
    api.get("/jobs/nope")
    for path in ("/one", "/two"):
        api.get(path)
    api.client.simulate_request("TRACE", "/jobs")
    values = counting.values()
    assert values["tork_http_requests_total", "GET", "/jobs/{job_id}", "404"] == 1
    assert values["tork_http_requests_total", "GET", "unmatched", "404"] == 2
    assert [name for name in values if "/one" in name or "TRACE" in name] == []


def test_names_and_types_follow_the_rules_of_prometheus(counting: Counting) -> None:
    """What promtool's linter looks for, and that units are the base ones and end the name."""
    problems = []
    for family in ours(counting):
        if not re.fullmatch(r"tork_[a-z]+(_[a-z]+)*", family.name):
            problems.append(f"{family.name}: the name")
        if not family.documentation.endswith("."):
            problems.append(f"{family.name}: the help text")
        samples = {sample.name for sample in family.samples}
        if family.type == "counter" and samples != {f"{family.name}_total"}:
            problems.append(f"{family.name}: a counter ends with _total")
        if family.type != "counter" and family.name.endswith(("_total", "_count", "_sum", "_bucket")):
            problems.append(f"{family.name}: only counters and histograms have such ends")
        if any(
            word in family.name.split("_")
            for word in ("milliseconds", "minutes", "kilobytes", "percent", "counter", "histogram", "gauge")
        ):
            problems.append(f"{family.name}: a unit that is not the base one, or the type in the name")
        units = [word for word in family.name.split("_") if word in UNITS]
        if units and not family.name.endswith(units[-1]):
            problems.append(f"{family.name}: the unit ends the name")
        if family.type == "histogram" and not units and not family.name.endswith("_events"):
            problems.append(f"{family.name}: a histogram has a unit")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        if labels & {"instance", "job", "le"} or not all(re.fullmatch("[a-z]+", label) for label in labels):
            problems.append(f"{family.name}: labels {labels}")
    assert problems == []


def test_every_figure_is_in_the_docs_with_its_labels_and_nothing_else_is(counting: Counting) -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(tork_\w+)` \| (.*?) \|$", page, re.MULTILINE))
    told = {}
    for family in ours(counting):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = list(dict.fromkeys(label for sample in family.samples for label in sample.labels if label != "le"))
        words = ", ".join(f"`{label}`" for label in labels)
        told[name] = f"{family.type} | {words} | {family.documentation}".replace("|  |", "| |")
    assert rows == told


def test_alert_rules_ask_for_figures_that_there_are(counting: Counting) -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    asked = {name for block in blocks for name in re.findall(r"\btork_\w+", block)}
    there = {sample.name for family in ours(counting) for sample in family.samples}
    assert asked
    assert asked - there == set()
