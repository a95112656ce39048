"""The figures of a real daemon, as Prometheus gets them, and its health as the commands show it."""

from __future__ import annotations

import subprocess
import sys
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.support.daemon import Daemon

ACCEPT = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"


def scraped(daemon: Daemon) -> dict[tuple[str, ...], float]:
    """Name and label values of every sample."""
    request = urllib.request.Request(f"{daemon.endpoint}/metrics", headers={"Accept": ACCEPT})
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call] # prometheus-client leaves it without types
        for sample in family.samples
    }


def test_what_a_job_does_is_counted(daemon: Daemon) -> None:
    before = scraped(daemon)
    job = daemon.submit({"name": "counted", "tasks": [{"name": "one", "run": "echo hello; sleep 0.1"}]})
    daemon.wait(job)
    after = scraped(daemon)
    grown = {name: value - before.get(name, 0.0) for name, value in after.items()}
    assert grown["tork_jobs_created_total",] == 1
    assert grown["tork_jobs_ended_total", "COMPLETED"] == 1
    assert grown["tork_job_duration_seconds_count", "COMPLETED"] == 1
    assert grown["tork_tasks_ended_total", "COMPLETED"] == 1
    assert grown["tork_tasks_handed_out_total",] == 1
    assert grown["tork_task_queue_seconds_count",] == 1
    assert grown["tork_task_run_seconds_count", "COMPLETED"] == 1
    assert grown["tork_task_run_seconds_sum", "COMPLETED"] >= 0.1
    assert grown["tork_batch_duration_seconds_count",] >= 1
    assert grown["tork_log_parts_total",] >= 1
    assert grown["tork_http_requests_total", "POST", "/jobs", "200"] == 1
    assert after["tork_up", "datastore"] == after["tork_up", "broker"] == after["tork_up", "runtime"] == 1
    assert after["tork_jobs", "RUNNING"] == 0
    assert after["tork_nodes", "worker", "UP"] == after["tork_nodes", "coordinator", "UP"] == 1
    assert after["tork_queue_consumers", "default"] >= 1


def test_health_names_its_parts_everywhere(daemon: Daemon) -> None:
    parts = {"datastore": {"status": "UP"}, "broker": {"status": "UP"}, "runtime": {"status": "UP"}}
    assert daemon.call("GET", "/health")["indicators"] == parts
    told = subprocess.run(
        [sys.executable, "-m", "torkd", "health"],
        env=daemon.client_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert told.stdout == "Status: UP\n  datastore: UP\n  broker: UP\n  runtime: UP\n"
    table = daemon.torkctl("health").stdout
    assert "INDICATOR   STATUS   ERROR\ndatastore   UP       -\n" in table
