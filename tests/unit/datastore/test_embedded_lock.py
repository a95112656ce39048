"""The lock of a data directory, within one process: each open of the file counts as another holder."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from torkd.datastore import embedded_lock
from torkd.datastore.embedded_lock import DirectoryInUse, is_taken, take


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_lock_is_taken_until_it_is_released(path: Path) -> None:
    assert not is_taken(path)
    lock = take(path)
    assert is_taken(path)
    lock.release()
    assert not is_taken(path)
    lock.release()


def test_second_taker_is_told_the_living_holder(path: Path) -> None:
    lock = take(path)
    with pytest.raises(DirectoryInUse, match=f"in use by another torkd .process {os.getpid()}."):
        take(path)
    lock.release()


def test_lock_of_a_dead_starter_is_waited_for(path: Path) -> None:
    """Its keeper still holds the lock while it stops the server."""
    lock = take(path)
    with subprocess.Popen(["true"]) as dead:
        pass
    path.write_text(f"{dead.pid}\n")
    threading.Timer(0.05, lock.release).start()
    take(path).release()


def test_lock_of_a_dead_starter_is_not_waited_for_without_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_lock, "LEAVING_SECONDS", 0.05)
    lock = take(path)
    with subprocess.Popen(["true"]) as dead:
        pass
    path.write_text(f"{dead.pid}\n")
    with pytest.raises(DirectoryInUse, match=f"process {dead.pid}"):
        take(path)
    lock.release()


def test_somebody_who_only_looks_does_not_refuse_a_taker(path: Path) -> None:
    """`is_taken` holds the lock for an instant, and has no number to show."""
    take(path).release()
    looking = take(path)
    path.write_text("")
    threading.Timer(0.05, looking.release).start()
    take(path).release()


def test_share_that_is_closed_leaves_the_lock_to_its_other_holders(path: Path) -> None:
    lock = take(path)
    other = os.dup(lock.descriptor)
    lock.close()
    assert is_taken(path)
    os.close(other)
    assert not is_taken(path)


def test_abandoned_lock_is_waited_for_until_its_other_holders_end(path: Path) -> None:
    lock = take(path)
    other = os.dup(lock.descriptor)
    lock.abandon()
    assert is_taken(path)
    threading.Timer(0.05, os.close, [other]).start()
    take(path).release()


def test_lock_is_not_inherited_by_programs(path: Path) -> None:
    lock = take(path)
    assert not os.get_inheritable(lock.descriptor)
    lock.release()
