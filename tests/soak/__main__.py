"""`python -m tests.soak [--minutes N]`: tasks that run for longer than RabbitMQ lets a message be held, at their full length.

RabbitMQ has `consumer_timeout` of one minute in its `rabbitmq.conf`. One task runs alone, and one goes on while its worker is
killed. The exit code is 1 unless the first ran once, and the second was begun again within 20 s and then ran to its end.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.support.cluster import Cluster, Servers
from tests.support.waiting import wait_until

SCRIPT = 'echo "$(date +%s) $$" >> "$JOURNAL"; sleep "$LASTS"; echo -n done > "$TORK_OUTPUT"'
AGAIN_SECONDS = 20.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=4.0)
    seconds = parser.parse_args().minutes * 60
    with tempfile.TemporaryDirectory(prefix="torkd-soak-") as directory, Servers.start() as servers:
        servers.rabbitmq.stop()
        with (servers.rabbitmq.base / "rabbitmq.conf").open("a") as configuration:
            configuration.write("consumer_timeout = 60000\n")
        servers.rabbitmq.launch_again()
        # As shipped, but for what says where things are.
        with Cluster(servers, {"TORK_WORKER_LEASE": "15s", "TORK_WORKER_HEARTBEAT": "5s"}) as cluster:
            return _run(cluster, Path(directory), seconds)


def _run(cluster: Cluster, directory: Path, seconds: float) -> int:
    coordinator = cluster.start_coordinator()
    steady, doomed = (cluster.start_worker(settings={f"TORK_WORKER_QUEUES_{queue}": "1"}) for queue in ("A", "B"))
    journals = {name: directory / name for name in ("steady", "killed")}
    jobs = {
        name: coordinator.submit(_job(name, queue, journals[name], seconds))
        for name, queue in (("steady", "a"), ("killed", "b"))
    }
    wait_until(lambda: all(len(_starts(journal)) == 1 for journal in journals.values()), timeout=30)
    time.sleep(10)
    cluster.kill(doomed)
    killed = time.time()
    cluster.start_worker(settings={"TORK_WORKER_QUEUES_B": "1"})
    wait_until(lambda: len(_starts(journals["killed"])) == 2, timeout=3 * AGAIN_SECONDS)
    again = _starts(journals["killed"])[1] - killed
    states = {name: coordinator.wait(job_id, within=seconds + 60)["state"] for name, job_id in jobs.items()}
    starts = {name: len(_starts(journal)) for name, journal in journals.items()}
    print(f"{seconds / 60:g} minutes, consumer_timeout of 1 minute: {states}, begun {starts} times")
    print(f"a task whose worker was killed was begun again after {again:.0f} s (at most {AGAIN_SECONDS:g})")
    is_well = (
        set(states.values()) == {"COMPLETED"} and starts == {"steady": 1, "killed": 2} and again <= AGAIN_SECONDS + 1
    )
    return 0 if is_well and steady.is_up() else 1


def _job(name: str, queue: str, journal: Path, seconds: float) -> dict[str, object]:
    env = {"JOURNAL": str(journal), "LASTS": f"{seconds:g}"}
    return {"name": name, "tasks": [{"name": name, "queue": queue, "run": SCRIPT, "env": env}]}


def _starts(journal: Path) -> list[int]:
    """When it was begun, in whole seconds of the epoch."""
    return [int(line.split()[0]) for line in journal.read_text().splitlines()] if journal.exists() else []


if __name__ == "__main__":
    sys.exit(main())
