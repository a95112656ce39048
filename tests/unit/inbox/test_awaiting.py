"""Whose result is written beside a file that was submitted as several jobs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tork.job import JobState, JobSummary
from torkctl.client import Api, Patience, Transport
from torkctl.inbox.awaiting import Awaiting
from torkctl.inbox.claims import Claims
from torkctl.inbox.folder import Folder
from torkctl.inbox.happenings import Happening
from torkctl.inbox.ledger import Ledger
from torkctl.inbox.names import Selection
from torkctl.inbox.results import Ended, Results
from torkctl.settings import Credentials

FILE = "a.yaml"
NOWHERE = "http://127.0.0.1:9"

NewAwaiting = Callable[[], Awaiting]


@pytest.fixture
def new_awaiting(tmp_path: Path) -> Iterator[NewAwaiting]:
    """What a watcher has after its start. No server tells it of an end: the tests do."""
    transport = Transport(NOWHERE, Credentials())
    api = Api(transport, lambda: Patience(window_seconds=0))
    made: list[Awaiting] = []

    def new() -> Awaiting:
        made.append(
            Awaiting(
                folder=Folder(str(tmp_path), Selection()),
                ledger=Ledger(str(tmp_path), NOWHERE, pytest.fail),
                claims=Claims(str(tmp_path)),
                results=Results(api, lambda _told: None),
                tell=_ignore,
            )
        )
        return made[-1]

    yield new
    for awaiting in made:
        awaiting.results.close()
        awaiting.claims.close()
    transport.close()


def _ignore(_happening: Happening) -> None:
    return


def end(awaiting: Awaiting, job_id: str) -> None:
    job = JobSummary(
        id=job_id, state=JobState.COMPLETED, created_at=datetime(2026, 1, 1, tzinfo=UTC), position=1, task_count=1
    )
    awaiting.ended(Ended(job=job, job_id=job_id, document=json.dumps({"id": job_id}).encode()))


def result(folder: Path) -> str | None:
    path = folder / f"{FILE}.result.json"
    return str(json.loads(path.read_text())["id"]) if path.exists() else None


@pytest.mark.parametrize("order", [("old", "new"), ("new", "old")])
def test_the_result_is_that_of_the_last_job(tmp_path: Path, new_awaiting: NewAwaiting, order: tuple[str, str]) -> None:
    awaiting = new_awaiting()
    awaiting.add("old", FILE, is_news=True)
    awaiting.add("new", FILE, is_news=True)
    for job_id in order:
        end(awaiting, job_id)
    assert result(tmp_path) == "new"
    assert awaiting.is_over()
    assert not awaiting.has_unwritten()


def test_a_file_that_was_changed_back_has_the_result_of_its_first_job(
    tmp_path: Path, new_awaiting: NewAwaiting
) -> None:
    awaiting = new_awaiting()
    for job_id in ("first", "second", "first"):
        awaiting.add(job_id, FILE, is_news=True)
    end(awaiting, "second")
    assert result(tmp_path) is None
    end(awaiting, "first")
    assert result(tmp_path) == "first"


def test_an_earlier_job_does_not_write_over_the_result_after_a_new_start(
    tmp_path: Path, new_awaiting: NewAwaiting
) -> None:
    awaiting = new_awaiting()
    awaiting.add("old", FILE, is_news=True)
    awaiting.add("new", FILE, is_news=True)
    end(awaiting, "new")
    awaiting.claims.close()
    again = new_awaiting()
    again.adopt()
    assert again.is_over()
    end(again, "old")
    assert result(tmp_path) == "new"


def test_what_was_left_behind_does_not_take_the_place_of_a_younger_job(
    tmp_path: Path, new_awaiting: NewAwaiting
) -> None:
    killed = new_awaiting()
    killed.add("old", FILE, is_news=True)
    killed.claims.close()
    [remembered] = (tmp_path / ".torkctl" / "waiting").rglob("old.*")
    os.utime(remembered, (1_000, 1_000))  # clocks of file systems are coarse
    awaiting = new_awaiting()
    awaiting.add("new", FILE, is_news=True)
    awaiting.adopt()
    end(awaiting, "new")
    end(awaiting, "old")
    assert result(tmp_path) == "new"
