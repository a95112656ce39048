"""Leases: judged by the clock of the database, at receipt, and never while heartbeats were not read."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.builders import a_job, claim_of
from tests.support.datastore_play import DatastorePlay
from tests.support.messages import A_TIME
from tork.node import Node, NodeStatus
from torkd.broker.messages import Heartbeat
from torkd.engine.events import RunLost

LEASE = 15.0
GAP = 7.5


def heartbeat(node_id: str = "node-1", *, lease_id: str = "", at: timedelta = timedelta()) -> Heartbeat:
    node = Node(
        id=node_id,
        name=node_id,
        started_at=A_TIME + at,
        cpu_percent=1,
        last_heartbeat_at=A_TIME,
        status=NodeStatus.UP,
        task_count=0,
        version="1",
    )
    return Heartbeat(node=node, lease_id=lease_id or f"lease of {node_id}")


def a_run(play: DatastorePlay, job_id: str = "job", node_id: str = "node-1") -> None:
    play.submit(a_job(), job_id)
    play.handle(claim_of(play.task("only", job_id), node_id=node_id))


def hear(play: DatastorePlay, *heartbeats: Heartbeat) -> None:
    play.datastore.record_heartbeats(heartbeats, gap_seconds=GAP)


def lost(play: DatastorePlay) -> list[str]:
    found = play.datastore.events_due(now=play.now, lease_seconds=LEASE, limit=100)
    return sorted(event.job_id for event in found if isinstance(event, RunLost))


def age(play: DatastorePlay, *, silence: float = 0.0, reading: float = 0.0, read_ago: float = 0.0) -> None:
    """Make leases older, and heartbeats read for so long until so long ago."""
    play.change("UPDATE leases SET renewed_at = renewed_at - make_interval(secs => %s)", silence)
    play.change(
        "UPDATE engine SET heartbeats_since = now() - make_interval(secs => %s), "
        "heartbeats_until = now() - make_interval(secs => %s)",
        reading,
        read_ago,
    )


def test_a_run_whose_worker_is_silent_for_a_lease_is_lost(play: DatastorePlay) -> None:
    a_run(play)
    hear(play, heartbeat())
    age(play, silence=LEASE + 1, reading=LEASE + 1)
    assert lost(play) == ["job"]


@pytest.mark.parametrize(
    ("silence", "reading", "read_ago"),
    [
        pytest.param(LEASE - 1, 1000, 0, id="a lease that has time left"),
        pytest.param(1000, LEASE - 1, 0, id="heartbeats that are read again for less than a lease"),
        pytest.param(1000, 2000, LEASE + 1, id="heartbeats that nobody reads now"),
    ],
)
def test_a_run_is_not_lost_because_of(play: DatastorePlay, silence: float, reading: float, read_ago: float) -> None:
    a_run(play)
    hear(play, heartbeat())
    age(play, silence=silence, reading=reading, read_ago=read_ago)
    assert lost(play) == []


def test_a_gap_in_reading_heartbeats_extends_every_lease(play: DatastorePlay) -> None:
    a_run(play)
    hear(play, heartbeat())
    age(play, silence=LEASE + 1, reading=100, read_ago=GAP + 1)
    hear(play)
    assert lost(play) == []
    since = play.row("SELECT now() - heartbeats_since < interval '5 seconds' AS anew FROM engine")
    assert since["anew"]


def test_reading_without_a_gap_goes_on_counting(play: DatastorePlay) -> None:
    a_run(play)
    hear(play, heartbeat())
    age(play, silence=LEASE + 1, reading=100, read_ago=GAP - 2)
    hear(play)
    assert lost(play) == ["job"]


def test_a_heartbeat_renews_its_own_lease_only(play: DatastorePlay) -> None:
    a_run(play, "alive", "node-1")
    a_run(play, "dead", "node-2")
    hear(play, heartbeat("node-1"), heartbeat("node-2"))
    age(play, silence=LEASE + 1, reading=100)
    hear(play, heartbeat("node-1"))
    assert lost(play) == ["dead"]


def test_a_restarted_worker_does_not_renew_the_lease_of_its_predecessor(play: DatastorePlay) -> None:
    a_run(play)
    hear(play, heartbeat())
    age(play, silence=LEASE + 1, reading=100)
    hear(play, heartbeat(lease_id="the next incarnation"))
    assert lost(play) == ["job"]


@pytest.mark.parametrize("days", [-1, 1], ids=["slow", "fast"])
def test_the_clock_of_a_worker_means_nothing(play: DatastorePlay, days: int) -> None:
    """Even when its run is known before its first heartbeat."""
    a_run(play)
    play.change("UPDATE tasks SET started_at = now() + make_interval(days => %s)", days)
    age(play, reading=1000)
    assert lost(play) == [], "its lease counts from when it was first seen"
    age(play, silence=LEASE + 1, reading=1000)
    assert lost(play) == ["job"]


def test_old_leases_end_at_once_with_a_broker_that_died(play: DatastorePlay) -> None:
    a_run(play, "heard", "node-1")
    a_run(play, "unheard", "node-2")
    hear(play, heartbeat("node-1"))
    play.datastore.end_leases()
    assert lost(play) == ["heard", "unheard"]
    a_run(play, "new", "node-3")
    assert "new" not in lost(play)


def test_an_ended_lease_is_not_renewed(play: DatastorePlay) -> None:
    a_run(play)
    hear(play, heartbeat())
    play.datastore.end_leases()
    hear(play, heartbeat())
    assert lost(play) == ["job"]


def test_a_run_that_is_taken_up_with_a_new_lease_is_not_lost_with_the_old_one(play: DatastorePlay) -> None:
    a_run(play, "taken up", "node-1")
    a_run(play, "gone", "node-2")
    hear(play, heartbeat("node-1"), heartbeat("node-2"))
    play.datastore.end_leases()
    (stale,) = (
        event
        for event in play.datastore.events_due(now=play.now, lease_seconds=LEASE, limit=100)
        if isinstance(event, RunLost) and event.job_id == "taken up"
    )
    play.handle(claim_of(play.task("only", "taken up"), lease_id="new"))
    assert lost(play) == ["gone"]
    play.handle(stale)
    hear(play, heartbeat("node-1", lease_id="new"))
    assert lost(play) == ["gone"]
    task = play.task("only", "taken up")
    assert (task.state, task.dispatch, task.redelivered, task.lease_id) == ("RUNNING", 1, 0, "new")
    age(play, silence=LEASE + 1, reading=LEASE + 1)
    assert lost(play) == ["gone", "taken up"]


def test_the_same_run_is_lost_once(play: DatastorePlay) -> None:
    a_run(play)
    play.datastore.end_leases()
    (event,) = play.datastore.events_due(now=play.now, lease_seconds=LEASE, limit=10)
    play.handle(event)
    assert lost(play) == []
    play.handle(event)
    assert (play.task("only").dispatch, play.task("only").redelivered) == (2, 1)


def test_a_node_shows_its_latest_incarnation(play: DatastorePlay) -> None:
    late = heartbeat(lease_id="new", at=timedelta(hours=1))
    hear(play, late, heartbeat(lease_id="old"))
    assert play.row("SELECT lease_id FROM nodes")["lease_id"] == "new"
    (node,) = play.datastore.nodes()
    assert (node.id, node.status) == ("node-1", NodeStatus.UP)


def test_leases_and_nodes_of_long_ago_are_forgotten_unless_a_run_holds_them(play: DatastorePlay) -> None:
    a_run(play)
    hear(play, heartbeat(), heartbeat("gone"))
    play.change("UPDATE leases SET renewed_at = now() - interval '2 days'")
    play.change("UPDATE nodes SET last_heartbeat_at = now() - interval '2 days'")
    play.datastore.delete_old(jobs_seconds=1e9, logs_seconds=1e9, limit=10)
    assert [row["id"] for row in play.rows("SELECT id FROM leases")] == ["lease of node-1"]
    assert play.count("nodes") == 0


def lost_nodes(play: DatastorePlay, *nodes: str) -> list[str]:
    return sorted(play.datastore.lost_nodes(nodes, lease_seconds=LEASE))


def test_nodes_without_a_lease_are_lost(play: DatastorePlay) -> None:
    hear(play, heartbeat("alive"), heartbeat("silent"))
    age(play, silence=LEASE + 1, reading=LEASE + 1)
    hear(play, heartbeat("alive"))
    assert lost_nodes(play, "alive", "silent", "never heard of") == ["never heard of", "silent"]


def test_silence_after_reading_stopped_is_nobodys_silence(play: DatastorePlay) -> None:
    """When the broker goes away, a worker that was about to speak was silent for a moment only."""
    a_run(play)
    hear(play, heartbeat())
    age(play, silence=LEASE + 1, reading=1000, read_ago=LEASE - 1)
    assert lost(play) == lost_nodes(play, "node-1") == []


def test_a_node_is_not_lost_as_long_as_one_of_its_lives_holds_a_lease(play: DatastorePlay) -> None:
    hear(play, heartbeat("node", lease_id="first life"))
    age(play, silence=LEASE + 1, reading=LEASE + 1)
    hear(play, heartbeat("node", lease_id="second life"))
    assert lost_nodes(play, "node") == []


@pytest.mark.parametrize(
    ("reading", "read_ago"),
    [
        pytest.param(LEASE - 1, 0, id="heartbeats that are read again for less than a lease"),
        pytest.param(2000, LEASE + 1, id="heartbeats that nobody reads now"),
    ],
)
def test_no_node_is_lost_because_of(play: DatastorePlay, reading: float, read_ago: float) -> None:
    hear(play, heartbeat("node"))
    age(play, silence=1000, reading=reading, read_ago=read_ago)
    assert lost_nodes(play, "node", "never heard of") == []


def test_heartbeats_behind_which_more_may_wait_end_no_gap(play: DatastorePlay) -> None:
    hear(play, heartbeat("node"))
    age(play, silence=0, reading=1000, read_ago=GAP + 1)
    play.datastore.record_heartbeats([heartbeat("node")], gap_seconds=GAP, drained=False)
    since = play.row("SELECT now() - heartbeats_until > make_interval(secs => %s) AS open FROM engine", GAP)
    assert since["open"]
