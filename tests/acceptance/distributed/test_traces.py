"""A job whose parts are told by several processes is one trace."""

from __future__ import annotations

import pytest

from tests.support.cluster import MakeCluster
from tests.support.collector import Collector

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq]


def test_coordinators_and_workers_agree_on_every_place(make_cluster: MakeCluster) -> None:
    with Collector() as collector:
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        cluster = make_cluster(traced)
        coordinators = [cluster.start_coordinator(wait=False, processes=processes) for processes in (2, 1)]
        worker = cluster.start_worker(wait=False)
        cluster.wait_until_up()
        tell = {"name": "tell", "run": 'printf "$TRACEPARENT" > $TORK_OUTPUT', "var": "place"}
        children = {"name": "all", "each": {"list": "{{ sequence(0,9) }}", "task": {"name": "child", "run": "true"}}}
        job = coordinators[0].submit({"name": "whole", "tasks": [tell, children], "output": "{{ tasks.place }}"})
        result = coordinators[1].wait(job)["result"]
        spans = collector.wait_for(lambda span: span.trace_id == job, 13)
        (root,) = [span for span in spans if not span.parent_id]
        places = {span.name: span.span_id for span in spans}
        assert root.name == "whole"
        assert sorted(span.name for span in spans) == ["POST /jobs", "all", *["child"] * 9, "tell", "whole"]
        assert {span.parent_id for span in spans if span.name == "child"} == {places["all"]}
        assert {span.parent_id for span in spans if span.name in {"tell", "all", "POST /jobs"}} == {root.span_id}
        assert result == f"00-{job}-{places['tell']}-01"
        assert worker.stop() == 0
        assert "opentelemetry" not in worker.told()
