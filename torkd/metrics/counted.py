"""What this process counts while it works: the families of figures, by name, with what they mean.

A counter grows for as long as the process lives, and every job or task is counted by the one process that handled it: the
figures of several are added up.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_JOB_SECONDS = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)
_RUN_SECONDS = (0.05, 0.25, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)
_QUEUE_SECONDS = (0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300, 1800, 3600)
_BATCH_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
_BATCH_EVENTS = (1, 2, 5, 10, 25, 50, 100, 200, 300)
_REQUEST_SECONDS = (0.002, 0.005, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)


class Counted:
    """The families, each an attribute."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        """Without a registry they are only kept: in the files that processes share."""

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"tork_{name}", meaning, labels, registry=registry)

        def histogram(name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"tork_{name}", meaning, labels, registry=registry, buckets=buckets)

        self.jobs_created = counter("jobs_created", "Jobs that were accepted or started by a task, sub-jobs included.")
        self.jobs_ended = counter("jobs_ended", "Jobs that have ended, sub-jobs included.", "state")
        self.job_seconds = histogram(
            "job_duration_seconds", "Time from the start of a job to its end.", _JOB_SECONDS, "state"
        )
        self.tasks_handed_out = counter(
            "tasks_handed_out", "Hand-outs of tasks to their queues, repeated ones included."
        )
        self.tasks_ended = counter(
            "tasks_ended", "Tasks that have ended; one that is tried again ends as FAILED.", "state"
        )
        self.run_seconds = histogram(
            "task_run_seconds", "Time that a worker ran a task, by the worker's clock.", _RUN_SECONDS, "state"
        )
        self.queue_seconds = histogram(
            "task_queue_seconds", "Time from the hand-out of a task to the start of its run.", _QUEUE_SECONDS
        )
        self.retries = counter(
            "task_retries", "Tasks that were made because another failed, as their retry policy says."
        )
        self.runs_lost = counter(
            "task_runs_lost", "Runs that ended with the lease of their worker, which was not heard of."
        )
        self.handed_back = counter("task_runs_handed_back", "Runs that a worker gave up because it was shut down.")
        self.redeliveries = counter(
            "task_redeliveries",
            "Messages of tasks that the broker delivered again, so that their run had to be granted.",
        )
        self.batch_events = histogram("batch_events", "Events that were handled in one transaction.", _BATCH_EVENTS)
        self.batch_seconds = histogram(
            "batch_duration_seconds", "Time from the start of a transaction of events to its commit.", _BATCH_SECONDS
        )
        self.batches_put_off = counter(
            "batches_put_off",
            "Batches to be tried again, because the database or the broker was away or a row was locked.",
        )
        self.events_buried = counter("events_buried", "Events that can't be handled and became dead letters.")
        self.log_parts = counter("log_parts", "Parts of logs that were stored.")
        self.log_characters = counter("log_characters", "Characters of logs that were stored.")
        self.requests = counter("http_requests", "Requests that were answered.", "method", "route", "status")
        self.request_seconds = histogram(
            "http_request_duration_seconds",
            "Time to the answer of a request; of a stream, to its beginning.",
            _REQUEST_SECONDS,
            "method",
            "route",
        )
        self.streams = Gauge(
            "tork_http_streams",
            "Streams of events and logs that are followed now.",
            registry=registry,
            multiprocess_mode="livesum",
        )
