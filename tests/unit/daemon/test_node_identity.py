"""Who a process is: the same after a restart, and never two at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from torkd.node_identity import claim_identity, new_node_id


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
