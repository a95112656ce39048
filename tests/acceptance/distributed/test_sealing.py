"""With an encryption key no secret rests anywhere: not in the database, not in RabbitMQ, not in a log; and a key can be changed."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.amqp import amqp_channel
from tests.support.cluster import TWO_TASKS, TWO_TASKS_RESULT, Cluster, MakeCluster, Servers
from tests.support.daemon import Daemon
from tests.support.databases import binaries_of
from tests.support.gates import Gate
from tests.support.planted import a_planted_job
from tests.support.planted import leaks as crafty_leaks
from tests.support.rabbitmq import PROGRAMS
from tests.support.waiting import wait_until
from torkd.sealing import KeyRing

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq]

KEY, NEW_KEY = "a key of the test that nobody guesses", "the key that comes after it"
KEY_SETTING, OLDER_SETTING = "TORK_DATASTORE_ENCRYPTION_KEY", "TORK_DATASTORE_ENCRYPTION_OLDER_KEYS"
# In small letters: as the text index would have them.
TOKEN, INPUT, LITERAL, PASSWORD = (f"planted{name}7f3a" for name in ("token", "input", "literal", "pass"))
REVERSED, ENCODED = TOKEN[::-1], base64.b64encode(TOKEN.encode()).decode()
PLANTED = (TOKEN, INPUT, LITERAL, PASSWORD, REVERSED, ENCODED)
SCRIPT = 'cat literal; echo "$TOKEN"; { rev <<< "$TOKEN"; echo -n "$TOKEN" | base64; } > "$TORK_OUTPUT"'
COPY = 'echo -n "$VALUE" > "$TORK_OUTPUT"'


def planted() -> dict[str, Any]:
    """A job with secrets, and what derives from them, in every place that a job file has for values."""
    env = {"TOKEN": "{{ secrets.token }}", "FROM_INPUT": "{{ inputs.given }}", "LITERAL": LITERAL}
    tell = {"env": env, "run": SCRIPT, "files": {"literal": LITERAL}, "var": "told"}
    fails = 'echo "$TOKEN and $LITERAL are wrong" >&2; exit 3'
    private = {"username": "u", "password": "{{ secrets.password }}"}
    return {
        "name": f"planted {TOKEN}",
        "description": f"tells {TOKEN}",
        "tags": ["plain", TOKEN],
        "inputs": {"given": INPUT},
        "secrets": {"token": TOKEN, "password": PASSWORD, "literal": LITERAL},
        "tasks": [
            {"name": "tell {{ secrets.token }}", **tell},
            {"name": "reads", "run": COPY, "env": {"VALUE": "{{ tasks.told }}"}, "var": "again"},
            {"name": "beside", "parallel": {"tasks": [{"name": "left {{ secrets.token }}", **tell}]}},
            {
                "name": "for each",
                "each": {
                    "list": "{{ [secrets.token, secrets.literal] }}",
                    "concurrency": 1,
                    "task": {**tell, "name": "item {{ item.value }}", "env": {"TOKEN": "{{ item.value }}"}},
                },
            },
            {
                "name": "below",
                "subjob": {
                    "name": "sub {{ secrets.token }}",
                    "inputs": {"passed": "{{ secrets.token }}"},
                    "secrets": {"mine": "{{ secrets.password }}"},
                    "tasks": [{"name": "deep", "run": COPY, "env": {"VALUE": "{{ secrets.mine }}"}, "var": "deep"}],
                    "output": "{{ tasks.deep }} {{ inputs.passed }}",
                },
                "var": "below",
            },
            {"name": "again", "env": env, "run": fails, "retry": {"limit": 1, "initialDelay": "10ms"}},
            {"name": "never", "image": "{{ secrets.token }}", "cmd": ["echo", "{{ secrets.token }}"], "registry": private},
        ],
        "output": "{{ tasks.below }}",
    }  # fmt: skip


def in_an_image() -> dict[str, Any]:
    """A job whose task is evaluated, and fails because nobody has its image."""
    registry = {"username": "u", "password": "{{ secrets.password }}"}
    task = {"name": "t", "image": "nobody.invalid/x", "cmd": ["echo", "{{ secrets.token }}"], "registry": registry}
    return {"name": "image", "secrets": {"token": TOKEN, "password": PASSWORD}, "tasks": [task]}


@pytest.fixture(scope="module")
def old_servers() -> Iterator[Servers]:
    """With the PostgreSQL that `pg_dump` is of."""
    if not PROGRAMS.joinpath("rabbitmq-server").exists():
        pytest.skip("missing: rabbitmq-server (`make servers` installs it on Debian)")
    with Servers.start(binaries=binaries_of("oldest")) as servers:
        yield servers


def dump(dsn: str) -> str:
    """All that the database holds, its statistics included."""
    program = binaries_of("oldest")
    assert program is not None
    return subprocess.run([program / "pg_dump", "-d", dsn], check=True, capture_output=True, text=True).stdout


def leaks(text: str) -> list[str]:
    return [secret for secret in PLANTED if secret.lower() in text.lower()] + crafty_leaks(text)


def files_below(*places: Path) -> Iterator[tuple[str, str]]:
    for place in places:
        for path in place.rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield str(path), path.read_bytes().decode(errors="replace")


def test_no_secret_rests_in_the_database_the_broker_or_a_log(old_servers: Servers) -> None:
    with Cluster(old_servers) as cluster:
        talkative = {"TORK_LOGGING_LEVEL": "debug", KEY_SETTING: KEY}
        rested, dumped, files, coordinator = play(cluster, talkative)
        assert {place: leaks(text) for place, text in rested.items()} == {place: [] for place in rested}
        assert "torkd-sealed:" in dumped
        assert leaks(dumped) == []
        assert [path for path, text in files.items() if leaks(text)] == []
        assert KEY not in "".join(files.values())
        found = coordinator.call("GET", "/jobs?q=planted")["items"]
        assert [job["name"] for job in found] == ["planted [REDACTED]"] * 2, "what is no secret can be searched for"
        assert coordinator.call("GET", f"/jobs?q={TOKEN}")["totalItems"] == 0


def test_without_a_key_the_same_look_finds_them(old_servers: Servers) -> None:
    """Or else the test above would say nothing."""
    with Cluster(old_servers) as cluster:
        rested, dumped, _, _ = play(cluster, {})
        for place, text in rested.items():
            assert {TOKEN, "plain", "unicode", "long"} <= set(leaks(text)), place
        assert {*PLANTED, "plain", "unicode", "long", "nested"} <= set(leaks(dumped))


def play(cluster: Cluster, settings: dict[str, str]) -> tuple[dict[str, str], str, dict[str, str], Daemon]:
    """What rested before there was a worker, by place; what the database holds at the end; the daemons' and RabbitMQ's files."""
    coordinator = cluster.start_coordinator(settings=settings)
    ids = [coordinator.submit(job) for job in (planted(), in_an_image(), a_planted_job())]
    wait_until(lambda: cluster.count("RUNNING") + cluster.count("SCHEDULED") == 3, describe=cluster.told)
    with amqp_channel(cluster.settings["TORK_BROKER_RABBITMQ_URL"]) as channel:
        wait_until(lambda: channel.queue_declare("default", passive=True).method.message_count == 3)
        queued = "".join((channel.basic_get("default")[2] or b"").decode(errors="replace") for _ in ids)
        on_disk = "".join(text for _, text in files_below(cluster.servers.rabbitmq.base / "mnesia"))
    rested = {"the queue": queued, "RabbitMQ's files": on_disk, "the database": dump(cluster.dsn)}
    worker = cluster.start_worker(settings=settings)
    jobs = [coordinator.wait(job_id, within=60) for job_id in ids]
    assert [job["state"] for job in jobs] == ["FAILED"] * 3
    ran = [(task["position"], task["state"]) for task in coordinator.job(ids[0])["execution"]]
    assert ran.count((6, "FAILED")) == 2, ran
    files = dict(files_below(cluster.servers.rabbitmq.base / "mnesia", coordinator.base, worker.base))
    return rested, dump(cluster.dsn), files, coordinator


@pytest.mark.parametrize("key", [None, NEW_KEY], ids=["without-a-key", "with-another-key"])
def test_a_worker_that_lacks_the_key_is_down_and_harms_nobody(cluster: Cluster, key: str | None) -> None:
    cluster.settings[KEY_SETTING] = KEY
    coordinator = cluster.start_coordinator()
    other = {KEY_SETTING: key} if key else {}
    del cluster.settings[KEY_SETTING]
    lacking = cluster.start_worker(settings=other)
    job_id = coordinator.submit(TWO_TASKS)
    wait_until(lambda: is_down(lacking, KEY), describe=cluster.told)
    having = cluster.start_worker(settings={KEY_SETTING: KEY})
    assert coordinator.wait(job_id, within=60)["result"] == TWO_TASKS_RESULT
    assert coordinator.call("GET", "/queues/dead")["items"] == []
    assert having.call("GET", "/health")["status"] == "UP"
    assert KEY not in lacking.log.read_text() + having.log.read_text()


def test_a_coordinator_that_lacks_the_key_is_down_and_harms_nobody(cluster: Cluster) -> None:
    cluster.start_coordinator(settings={KEY_SETTING: KEY})
    having = cluster.coordinators[0]
    cluster.start_worker(settings={KEY_SETTING: KEY})
    assert having.wait(having.submit(TWO_TASKS))["state"] == "COMPLETED"
    lacking = cluster.start_coordinator(wait=False)
    wait_until(lambda: is_down(lacking, KEY), describe=cluster.told)
    ids = [having.submit(TWO_TASKS) for _ in range(5)]
    assert {having.wait(job_id, within=60)["result"] for job_id in ids} == {TWO_TASKS_RESULT}
    assert having.call("GET", "/queues/dead")["items"] == []


def rekey(daemon: Daemon, *options: str) -> str:
    """`torkd rekey` with the settings of a daemon that is at work; what it says."""
    command = [sys.executable, "-m", "torkd", "rekey", *options]
    done = subprocess.run(command, env=daemon.environment, capture_output=True, text=True, check=False, cwd=daemon.base)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_running_cluster_gets_a_key_and_then_another(make_cluster: MakeCluster, tmp_path: Path) -> None:
    """First every process learns to open with the new key, then the processes begin to seal with it; a job goes on meanwhile."""
    cluster = make_cluster({})
    gate = Gate(tmp_path / "gate")
    first, second = TWO_TASKS["tasks"]
    job = {**TWO_TASKS, "tasks": [first, gate.task(), second]}
    quick = {"TORK_WORKER_DRAIN": "100ms", "TORK_WORKER_GRACE": "100ms"}
    steps: list[dict[str, str]] = [
        {},
        {OLDER_SETTING: KEY},
        {KEY_SETTING: KEY},
        {KEY_SETTING: KEY, OLDER_SETTING: NEW_KEY},
        {KEY_SETTING: NEW_KEY, OLDER_SETTING: KEY},
    ]
    job_id = ""
    for step in steps:
        coordinator, worker = cluster.start_coordinator(settings=step), cluster.start_worker(settings={**step, **quick})
        job_id = job_id or coordinator.submit(job)
        other = coordinator.wait(coordinator.submit(TWO_TASKS), within=60)
        assert other["result"] == TWO_TASKS_RESULT, step
        assert coordinator.call("GET", "/health")["status"] == "UP"
        for daemon in (worker, coordinator):
            daemon.stop()
    last = {KEY_SETTING: NEW_KEY, OLDER_SETTING: KEY}
    daemons = cluster.start_coordinator(settings=last), cluster.start_worker(settings={**last, **quick})
    assert rekey(daemons[0], "--dry-run").count(" 0 rows to do") < 6
    assert "Remove older keys" in rekey(daemons[0])
    assert rekey(daemons[0], "--dry-run").count(" 0 rows to do") == rekey(daemons[0], "--dry-run").count("rows")
    for daemon in reversed(daemons):
        daemon.stop()
    gate.open()
    only = {KEY_SETTING: NEW_KEY}
    coordinator, _ = cluster.start_coordinator(settings=only), cluster.start_worker(settings=only)
    assert coordinator.wait(job_id, within=60)["result"] == TWO_TASKS_RESULT


def is_down(daemon: Daemon, key: str) -> bool:
    """Whether it says that it is down for the lack of this key."""
    sentence = f"sealed with the encryption key {KeyRing(key).key_id}, "
    return not daemon.is_up() and any(
        "is down: " in line and sentence in line for line in daemon.log.read_text().splitlines()
    )
