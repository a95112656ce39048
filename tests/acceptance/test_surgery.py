"""Running again what failed and going on without a task, over a real daemon that is killed in the midst of it."""

from __future__ import annotations

import json
import threading
import urllib.error
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.gates import Gate
from tests.support.waiting import wait_until

COUNT = 40
SCRIPT = """
echo ran >> "$RUNS/$ITEM"
[ -e "$RUNS/mended" ] || exit 1
sleep 0.05
printf 'done %s' "$ITEM" > "$TORK_OUTPUT"
"""
EXAMPLE = Path(__file__).parents[2] / "examples" / "keep-going.yaml"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """Standalone, with a lease that tests can wait for."""
    settings = {"TORK_WORKER_QUEUES_DEFAULT": "4", "TORK_WORKER_HEARTBEAT": "500ms", "TORK_WORKER_LEASE": "3s"}
    with Daemon(settings) as running:
        yield running


@pytest.fixture
def failed(daemon: Daemon, tmp_path: Path) -> str:
    """A job of many children that have all failed, and will do well from now on."""
    child = {
        "name": "item {{ item.index }}",
        "var": "i{{ item.index }}",
        "env": {"ITEM": "{{ item.index }}", "RUNS": str(tmp_path)},
        "run": SCRIPT,
    }
    each = {"list": f"{{{{ sequence(0, {COUNT}) }}}}", "onFailure": "continue", "task": child}
    job = {"name": "many", "tasks": [{"name": "all", "each": each}, {"name": "next", "run": "true"}]}
    job_id = daemon.submit(job | {"output": "{{ tasks.i7 }}"})
    ended = daemon.wait(job_id)
    assert (ended["state"], ended["error"].splitlines()[0]) == ("FAILED", f"{COUNT} of {COUNT} have failed:")
    (tmp_path / "mended").touch()
    return job_id


def ask(daemon: Daemon, path: str, body: dict[str, Any]) -> str:
    """What the daemon says: OK, why not, or nothing when it is gone."""
    try:
        answer = daemon.call("PUT", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    except urllib.error.HTTPError as refused:
        return str(json.loads(refused.read())["message"])
    except OSError as error:
        return str(error)
    return str(answer["status"])


def ask_while_it_is_killed(daemon: Daemon, path: str, body: dict[str, Any]) -> None:
    asking = threading.Thread(target=ask, args=(daemon, path, body))
    asking.start()
    daemon.kill()
    asking.join(timeout=60)
    daemon.start()


def started(daemon: Daemon, job_id: str) -> bool:
    return "started" in daemon.log_text(job_id)


def children(job: Any) -> list[Any]:
    return [task for task in job["execution"] if task.get("parentId")]


def each_is_done_once(job: Any) -> None:
    done = Counter(task.get("itemIndex", 0) for task in children(job) if task["state"] == "COMPLETED")
    assert done == dict.fromkeys(range(COUNT), 1)
    assert Counter(task["state"] for task in children(job)) == {"FAILED": COUNT, "COMPLETED": COUNT}
    assert (job["state"], job["result"]) == ("COMPLETED", "done 7")


def test_of_twenty_children_three_run_again_and_the_job_goes_on(daemon: Daemon) -> None:
    first = daemon.torkctl("submit", "--wait", "-o", "json", str(EXAMPLE))
    job = json.loads(first.stdout)
    assert (first.returncode, job["error"].splitlines()[0]) == (1, "3 of 20 have failed:")
    again = daemon.torkctl("retry", job["id"], "--failed", "--wait", "-o", "json")
    assert again.returncode == 0, again.stderr
    job = json.loads(again.stdout)
    assert job["result"] == "file 4, file 9 and file 14 came late"
    runs = Counter(task["name"] for task in children(job))
    assert {name: count for name, count in runs.items() if count > 1} == {"fetch 4": 2, "fetch 9": 2, "fetch 14": 2}
    assert len(runs) == 20
    assert not list(Path("/tmp").glob(f"tork-example-*-{job['id']}.*"))
    assert daemon.torkctl("get", job["id"]).stdout.count("(attempt 2 of 2)") == 3


def test_a_retry_is_carried_out_though_everything_is_killed_in_its_midst(daemon: Daemon, failed: str) -> None:
    ask_while_it_is_killed(daemon, f"/jobs/{failed}/retry", {"failed": True})
    told = ask(daemon, f"/jobs/{failed}/retry", {"failed": True})
    assert told == "OK" or "nothing in it has failed" in told
    for done in (5, 20):
        wait_until(
            lambda done=done: daemon.job(failed)["execution"][0]["each"].get("completions", 0) >= done,  # type: ignore[misc] # mypy can't type the default
            describe=daemon.told,
        )
        daemon.kill()
        daemon.start()
    each_is_done_once(daemon.wait(failed, within=60))


def test_a_retry_that_was_answered_is_not_forgotten(daemon: Daemon, failed: str) -> None:
    assert ask(daemon, f"/jobs/{failed}/retry", {"failed": True}) == "OK"
    daemon.kill()
    daemon.start()
    each_is_done_once(daemon.wait(failed, within=60))


def test_one_of_the_failed_is_run_again_by_its_name(daemon: Daemon, failed: str) -> None:
    done = daemon.torkctl("retry", failed, "--task", "item 3", "--wait")
    assert done.returncode == 1
    assert f"{COUNT - 1} of {COUNT} have failed: item 0 (item 0): exit code 1" in done.stderr
    assert [task["state"] for task in children(daemon.job(failed)) if task["name"] == "item 3"] == [
        "FAILED",
        "COMPLETED",
    ]
    again = daemon.torkctl("retry", failed, "--task", "item 3")
    assert (again.returncode, "no task 'item 3' has failed" in again.stderr) == (4, True)


@pytest.mark.parametrize("answered", [True, False])
def test_a_skip_is_carried_out_though_everything_is_killed_in_its_midst(daemon: Daemon, answered: bool) -> None:
    gate = Gate(daemon.base / f"gate-skip-{answered}")
    job_id = daemon.submit(gate.job("stuck") | {"output": "{{ 'went on' }}"})
    wait_until(lambda: started(daemon, job_id), describe=daemon.told)
    (task,) = daemon.job(job_id)["execution"]
    path, body = f"/tasks/{task['id']}/skip", {"reason": "it hangs"}
    if answered:
        assert ask(daemon, path, body) == "OK"
        daemon.kill()
        daemon.start()
    else:
        ask_while_it_is_killed(daemon, path, body)
        assert ask(daemon, path, body) == "OK"
    job = daemon.wait(job_id)
    (task,) = job["execution"]
    assert (job["state"], job["result"]) == ("COMPLETED", "went on")
    assert (task["state"], task["reason"]) == ("SKIPPED", "it hangs")
    assert "through" not in daemon.log_text(job_id)


def test_a_failed_step_is_skipped_and_the_reason_is_in_the_tree(daemon: Daemon) -> None:
    job_id = daemon.submit(
        {"name": "two", "tasks": [{"name": "bad", "run": "exit 3"}, {"name": "good", "run": "true"}]}
    )
    (bad,) = daemon.wait(job_id)["execution"]
    done = daemon.torkctl("skip", bad["id"], "--reason", "known, see the notes", "--wait")
    assert done.returncode == 0, done.stderr
    tree = daemon.torkctl("get", job_id).stdout
    assert "(attempt 2 of 2)  known, see the notes" in tree
    refused = daemon.torkctl("skip", bad["id"], "--reason", "once more")
    assert (refused.returncode, "skipped since" in refused.stderr) == (1, True)


def test_a_running_task_is_stopped_when_it_is_skipped(daemon: Daemon) -> None:
    gate = Gate(daemon.base / "gate-stop")
    job_id = daemon.submit(gate.job("stuck"))
    wait_until(lambda: started(daemon, job_id), describe=daemon.told)
    (task,) = daemon.job(job_id)["execution"]
    assert daemon.torkctl("skip", task["id"], "--reason", "enough").returncode == 0
    assert daemon.wait(job_id)["state"] == "COMPLETED"
    wait_until(lambda: not daemon.call("GET", "/metrics")["tasks"]["running"], describe=daemon.told)
