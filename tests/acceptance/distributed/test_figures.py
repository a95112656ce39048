"""Figures of a coordinator that is several processes: a scrape is answered by any of them, for all of them."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.test_metrics import scraped
from tests.support.cluster import TWO_TASKS, Cluster
from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

JOBS = 10


def test_every_process_tells_the_figures_of_all(cluster: Cluster, tmp_path: Path) -> None:
    with cluster:
        coordinator = cluster.start_coordinator(processes=2, settings={"TMPDIR": str(tmp_path)})
        cluster.start_worker()
        for job in [coordinator.submit(TWO_TASKS) for _ in range(JOBS)]:
            coordinator.wait(job)
        expected = (JOBS, 2 * JOBS, JOBS)
        wait_until(lambda: counted(coordinator) == expected, timeout=20, describe=coordinator.told)
        assert {counted(coordinator) for _ in range(20)} == {expected}

        children = coordinator.children("server")
        assert len(children) == 2
        children[0].kill()
        children[0].wait(10)
        wait_until(lambda: counted(coordinator) == expected, timeout=20, describe=coordinator.told)
        assert len(list(tmp_path.glob("torkd-figures-*"))) == 1
        coordinator.stop()
        assert list(tmp_path.glob("torkd-figures-*")) == []


def counted(coordinator: Daemon) -> tuple[float, ...]:
    try:
        values = scraped(coordinator)
    except OSError:
        return ()
    return (
        values.get(("tork_jobs_created_total",), 0),
        values.get(("tork_tasks_ended_total", "COMPLETED"), 0),
        values.get(("tork_jobs_ended_total", "COMPLETED"), 0),
    )
