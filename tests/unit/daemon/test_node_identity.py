"""Who a process is: the same after a restart, and never two at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from torkd.node_identity import claim_identity, dead_nodes, new_node_id


def test_an_id_is_kept_over_a_restart(tmp_path: Path) -> None:
    first = claim_identity(tmp_path, "worker")
    first.release()
    again = claim_identity(tmp_path, "worker")
    assert again.node_id == first.node_id
    again.release()


def test_two_processes_never_share_one(tmp_path: Path) -> None:
    first, second = claim_identity(tmp_path, "worker"), claim_identity(tmp_path, "worker")
    assert first.node_id != second.node_id
    first.release()
    third = claim_identity(tmp_path, "worker")
    assert third.node_id == first.node_id
    second.release()
    third.release()


def test_roles_have_ids_of_their_own(tmp_path: Path) -> None:
    worker = claim_identity(tmp_path, "worker")
    worker.release()
    coordinator = claim_identity(tmp_path, "coordinator")
    assert coordinator.node_id != worker.node_id
    coordinator.release()


@pytest.mark.parametrize("stored", [b"", b"garbage", b"\xff" * 22, b"0" * 22], ids=["empty", "short", "bytes", "zeros"])
def test_a_file_that_holds_no_id_gets_one(tmp_path: Path, stored: bytes) -> None:
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "worker-1").write_bytes(stored)
    first = claim_identity(tmp_path, "worker")
    first.release()
    assert len(first.node_id) == 22
    again = claim_identity(tmp_path, "worker")
    assert again.node_id == first.node_id
    again.release()


def test_where_nothing_can_be_stored_the_id_is_new(tmp_path: Path) -> None:
    (tmp_path / "nodes").write_text("in the way")
    first, second = claim_identity(tmp_path, "worker"), claim_identity(tmp_path, "worker")
    assert first.node_id != second.node_id
    first.release()
    second.release()


def test_ids_hold_no_letters_that_look_alike() -> None:
    ids = "".join(new_node_id() for _ in range(200))
    assert not set(ids) & set("01lIO")
    assert len(ids) == 200 * 22


class TestDeadNodes:
    def test_only_those_whose_lock_is_free_are_dead(self, tmp_path: Path) -> None:
        alive, dead = claim_identity(tmp_path, "worker"), claim_identity(tmp_path, "worker")
        dead.release()
        with dead_nodes(tmp_path, "worker") as found:
            assert found == [dead.node_id]
        alive.release()

    def test_nobody_takes_their_id_meanwhile_and_anybody_afterwards(self, tmp_path: Path) -> None:
        dead = claim_identity(tmp_path, "worker")
        dead.release()
        with dead_nodes(tmp_path, "worker"):
            other = claim_identity(tmp_path, "worker")
            assert other.node_id != dead.node_id
        again = claim_identity(tmp_path, "worker")
        assert again.node_id == dead.node_id
        other.release()
        again.release()

    def test_another_role_is_not_asked(self, tmp_path: Path) -> None:
        claim_identity(tmp_path, "coordinator").release()
        with dead_nodes(tmp_path, "worker") as found:
            assert found == []

    def test_without_a_directory_there_are_none(self, tmp_path: Path) -> None:
        with dead_nodes(tmp_path / "none", "worker") as found:
            assert found == []


def test_the_only_one_of_its_role_waits_for_its_predecessor(tmp_path: Path) -> None:
    predecessor = claim_identity(tmp_path, "worker")
    timer = threading.Timer(0.2, predecessor.release)
    timer.start()
    successor = claim_identity(tmp_path, "worker", patience_seconds=20.0)
    timer.join()
    assert successor.node_id == predecessor.node_id
    successor.release()


def test_a_predecessor_that_stays_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    predecessor = claim_identity(tmp_path, "worker")
    other = claim_identity(tmp_path, "worker", patience_seconds=0.1)
    assert other.node_id != predecessor.node_id
    for identity in (predecessor, other):
        identity.release()
