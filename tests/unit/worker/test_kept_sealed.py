"""What a worker keeps of its runs, with an encryption key: a successor with the key reads it, and nobody else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.messages import A_TIME, a_report, a_task_message
from tork.task import TaskDefinition
from torkd.sealing import KeyRing, SealedBodies
from torkd.worker.kept import LOG, KeptRuns

SECRET = "hunter2-planted"
MESSAGE = a_task_message("t1", definition=TaskDefinition(run=f"echo {SECRET}"), mask=[SECRET])


def kept_runs(directory: Path, *keys: str) -> KeptRuns:
    return KeptRuns(directory, SealedBodies(KeyRing(keys[0], keys[1:]) if keys else KeyRing(), "run"))


def texts(directory: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in directory.rglob("*") if path.is_file())


def test_record_and_outcome_rest_sealed_and_a_successor_opens_them(tmp_path: Path) -> None:
    kept = kept_runs(tmp_path, "key").keep("r1", A_TIME, MESSAGE)
    kept.settle(a_report("r1"))
    assert SECRET not in texts(tmp_path)
    assert len(list(tmp_path.rglob("torkd-*"))) == 2
    (found,) = kept_runs(tmp_path, "next key", "key").load()
    assert (found.record.message, found.outcome) == (MESSAGE, a_report("r1"))


def test_who_takes_it_up_with_another_key_seals_it_with_that(tmp_path: Path) -> None:
    kept_runs(tmp_path, "key").keep("r1", A_TIME, MESSAGE).settle(a_report("r1"))
    kept_runs(tmp_path, "next key", "key").load()
    (found,) = kept_runs(tmp_path, "next key").load()
    assert (found.record.message, found.outcome) == (MESSAGE, a_report("r1"))


def test_what_was_kept_in_clear_is_taken_up_with_a_key(tmp_path: Path) -> None:
    kept_runs(tmp_path).keep("r1", A_TIME, MESSAGE)
    assert SECRET in texts(tmp_path)
    (found,) = kept_runs(tmp_path, "key").load()
    assert found.record.message == MESSAGE


@pytest.mark.parametrize("keys", [(), ("another key",)], ids=["without-a-key", "with-another-key"])
def test_a_successor_that_lacks_the_key_leaves_the_run_to_the_next(tmp_path: Path, keys: tuple[str, ...]) -> None:
    kept_runs(tmp_path, "key").keep("r1", A_TIME, MESSAGE)
    assert kept_runs(tmp_path, *keys).load() == []
    (found,) = kept_runs(tmp_path, "key").load()
    assert found.record.run_id == "r1"


def test_a_record_that_was_changed_is_removed(tmp_path: Path) -> None:
    kept = kept_runs(tmp_path, "key").keep("r1", A_TIME, MESSAGE)
    (record,) = (path for path in kept.path.iterdir() if path.name != LOG)
    content = record.read_bytes()
    record.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert kept_runs(tmp_path, "key").load() == []
    assert not kept.path.exists()
