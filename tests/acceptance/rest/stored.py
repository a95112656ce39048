"""The jobs that the cases are about, in the order they are submitted."""

from __future__ import annotations

import json
from typing import Any

from tests.support.daemon import Daemon
from tests.support.gates import Gate
from tests.support.waiting import wait_until

FILLERS = 12
DONE: dict[str, Any] = {
    "name": "encode the film",
    "description": "Builds the encoding of a short-film",
    "tags": ["video", "nightly"],
    "inputs": {"size": "4711"},
    "secrets": {"token": "hunter2secret"},
    "tasks": [
        {
            "name": "first",
            "var": "one",
            "run": "echo alpha runs; echo the token is $TOKEN; printf 'done it' > $TORK_OUTPUT",
            "env": {"TOKEN": "{{ secrets.token }}", "SIZE": "{{ inputs.size }}"},
        },
        {
            "name": "both",
            "parallel": {"tasks": [{"name": "left", "run": "echo beta"}, {"name": "right", "run": "true"}]},
        },
    ],
    "output": "{{ tasks.one }}",
    "defaults": {"timeout": "1m"},
}
FAILED = {"name": "broken upload", "tags": ["upload"], "tasks": [{"name": "bad", "run": "echo oops; exit 3"}]}


def store(daemon: Daemon, gate: Gate) -> dict[str, str]:
    """Submit everything, and wait until it is as the names say; the ids by name."""
    ids: dict[str, str] = {}
    for number in range(1, FILLERS + 1):
        filler = {"name": f"filler {number}", "tags": ["filler"], "tasks": [{"name": "quick", "run": "true"}]}
        ids[f"filler{number}"] = daemon.submit(filler)
    ids["done"] = daemon.submit(DONE)
    ids["failed"] = daemon.submit(FAILED)
    ids["cancelled"] = daemon.submit(gate.job("stopped upload"))
    ids["running"] = daemon.submit({**gate.job("waiting job"), "tags": ["nightly"]})
    daemon.call("PUT", f"/jobs/{ids['cancelled']}/cancel")
    for name, job_id in ids.items():
        if name != "running":
            daemon.wait(job_id)
    wait_until(
        lambda: daemon.job(ids["running"])["state"] == "RUNNING" and "started" in daemon.log_text(ids["running"])
    )
    for name in ("done", "failed"):
        wait_until(lambda name=name: daemon.log_text(ids[name]))  # type: ignore[misc] # mypy infers no lambda with a default
    wait_until(lambda: "beta" in daemon.log_text(ids["done"]))
    for job in ("done", "failed", "running", "cancelled"):
        for task in daemon.job(ids[job])["execution"]:
            ids[task["name"]] = task["id"]
    return ids


def as_json(document: object) -> bytes:
    """The bytes to send."""
    return json.dumps(document).encode()
