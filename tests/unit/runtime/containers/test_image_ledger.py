"""The ledger remembers across restarts and processes, and its loss costs no task."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from torkd.runtime.containers import image_ledger
from torkd.runtime.containers.engine import Credentials
from torkd.runtime.containers.image_ledger import PUBLIC, ImageLedger

START = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "a password that must not be found"
ANN = Credentials(username="ann", password=SECRET)


class Clock:
    """Goes on when told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "images.json"


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _pulled(ledger: ImageLedger, key: str, credentials: Credentials | None = None) -> None:
    ledger.pulled(key, key, image_id=f"id of {key}", proof=ledger.proof(credentials))


def test_a_pull_is_remembered_after_a_restart(path: Path, clock: Clock) -> None:
    _pulled(ImageLedger(path, now=clock), "x:1", ANN)
    restarted = ImageLedger(path, now=clock)

    entry = restarted.entry("x:1")
    assert entry is not None
    assert (entry.image_id, entry.last_used) == ("id of x:1", START)
    assert entry.allows(restarted.proof(ANN))
    assert not entry.allows(restarted.proof(Credentials(username="ann", password="other")))
    assert not entry.allows(PUBLIC)


def test_without_a_path_it_remembers_in_memory() -> None:
    ledger = ImageLedger(None)
    _pulled(ledger, "x:1")

    assert [entry.key for entry in ledger.entries()] == ["x:1"]


def test_the_file_has_no_secret_and_is_for_its_owner_only(path: Path) -> None:
    _pulled(ImageLedger(path), "x:1", ANN)

    assert SECRET not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(file.name for file in path.parent.iterdir()) == ["images.json", "images.json.lock"]


def test_the_same_credentials_are_another_proof_in_another_ledger(tmp_path: Path) -> None:
    first, second = ImageLedger(tmp_path / "a"), ImageLedger(tmp_path / "b")

    assert first.proof(ANN) != second.proof(ANN)
    assert first.proof(ANN) == ImageLedger(tmp_path / "a").proof(ANN)


@pytest.mark.parametrize("credentials", [None, Credentials()], ids=["none", "empty"])
def test_who_pulls_without_credentials_makes_it_public(credentials: Credentials | None) -> None:
    ledger = ImageLedger(None)
    _pulled(ledger, "x:1", credentials)

    entry = ledger.entry("x:1")
    assert entry is not None
    assert entry.allows(ledger.proof(ANN))


def test_user_and_password_are_not_confused_with_each_other() -> None:
    ledger = ImageLedger(None)
    different = [
        Credentials(username="ab", password="c"),
        Credentials(username="a", password="bc"),
        Credentials(identity_token="abc"),
    ]

    assert len({ledger.proof(credentials) for credentials in different}) == 3


def test_a_begun_pull_is_for_nobody_and_goes_when_it_fails(path: Path) -> None:
    ledger = ImageLedger(path)
    ledger.begin("x:1", "x:1")
    entry = ImageLedger(path).entry("x:1")
    assert entry is not None
    assert not entry.allows(PUBLIC)
    assert not entry.allows(ledger.proof(ANN))

    ledger.failed("x:1")
    assert ImageLedger(path).entries() == []


def test_a_failed_pull_takes_nothing_from_those_who_had_it(path: Path) -> None:
    ledger = ImageLedger(path)
    _pulled(ledger, "x:1", ANN)
    ledger.begin("x:1", "x:1")
    ledger.failed("x:1")

    entry = ledger.entry("x:1")
    assert entry is not None
    assert entry.allows(ledger.proof(ANN))


def test_what_another_process_wrote_is_seen_and_kept(path: Path) -> None:
    first, second = ImageLedger(path), ImageLedger(path)
    _pulled(first, "a:1")
    _pulled(second, "b:1")
    _pulled(first, "c:1")
    second.drop("a:1")

    for ledger in (first, second):
        assert sorted(entry.key for entry in ledger.entries()) == ["b:1", "c:1"]


def test_a_use_costs_a_write_only_now_and_then(path: Path, clock: Clock) -> None:
    ledger = ImageLedger(path, now=clock)
    _pulled(ledger, "x:1")
    written = path.read_bytes()
    clock.now += timedelta(minutes=1)
    ledger.touch("x:1")
    assert path.read_bytes() == written
    assert [entry.last_used for entry in ledger.entries()] == [clock.now]

    clock.now += timedelta(minutes=5)
    ledger.touch("x:1")
    assert [entry.last_used for entry in ImageLedger(path).entries()] == [clock.now]


def test_unwritten_uses_can_be_saved(path: Path, clock: Clock) -> None:
    ledger = ImageLedger(path, now=clock)
    _pulled(ledger, "x:1")
    clock.now += timedelta(minutes=1)
    ledger.touch("x:1")
    ledger.save()

    assert [entry.last_used for entry in ImageLedger(path).entries()] == [clock.now]


def test_images_that_torkd_did_not_pull_are_not_noted_when_used(path: Path) -> None:
    ledger = ImageLedger(path)
    ledger.touch("x:1")

    assert ledger.entries() == []
    assert not path.exists()


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"salt": "00"}',
        b'{"salt": "no hex", "images": {}}',
        b'{"salt": "00", "images": [1, 2]}',
        b"[" * 100_000,
    ],
    ids=["empty", "cut off", "list", "null", "text", "no text", "no images", "bad salt", "bad images", "deep"],
)
def test_a_damaged_file_is_begun_anew(path: Path, damaged: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(damaged)
    ledger = ImageLedger(path)

    assert ledger.entries() == []
    _pulled(ledger, "x:1")
    assert [entry.key for entry in ImageLedger(path).entries()] == ["x:1"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda entry: entry.pop("name"), id="a field is missing"),
        pytest.param(lambda entry: entry.update(lastUsed="yesterday"), id="no time"),
        pytest.param(lambda entry: entry.update(lastUsed=5), id="a number for a time"),
        pytest.param(lambda entry: entry.update(proofs=None), id="no list"),
    ],
)
def test_a_damaged_entry_costs_only_itself(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    ledger = ImageLedger(path)
    _pulled(ledger, "bad:1")
    _pulled(ledger, "good:1")
    document = json.loads(path.read_bytes())
    change(document["images"]["bad:1"])
    path.write_text(json.dumps(document))

    assert [entry.key for entry in ImageLedger(path).entries()] == ["good:1"]


def test_a_file_that_cannot_be_written_costs_no_task(path: Path) -> None:
    path.parent.write_text("in the way")
    ledger = ImageLedger(path)
    _pulled(ledger, "x:1", ANN)
    _pulled(ledger, "y:1")
    assert sorted(entry.key for entry in ledger.entries()) == ["x:1", "y:1"]

    path.parent.unlink()
    _pulled(ledger, "z:1")
    assert sorted(entry.key for entry in ImageLedger(path).entries()) == ["x:1", "y:1", "z:1"]


def test_what_could_not_be_written_joins_what_others_wrote_since(path: Path) -> None:
    ledger = ImageLedger(path)
    _pulled(ledger, "a:1")
    lock = path.with_name(f"{path.name}.lock")
    lock.unlink()
    lock.mkdir()
    _pulled(ledger, "b:1")
    lock.rmdir()
    _pulled(ImageLedger(path), "c:1")
    _pulled(ledger, "d:1")

    assert sorted(entry.key for entry in ImageLedger(path).entries()) == ["a:1", "b:1", "c:1", "d:1"]


def test_it_does_not_grow_for_ever_and_forgets_public_images_first(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_ledger, "MOST_IMAGES", 3)
    ledger = ImageLedger(path, now=clock)
    for key, credentials in {"private:1": ANN, "a:1": None, "b:1": None, "c:1": None}.items():
        _pulled(ledger, key, credentials)
        clock.now += timedelta(hours=1)

    assert sorted(entry.key for entry in ImageLedger(path).entries()) == ["b:1", "c:1", "private:1"]


def test_an_image_keeps_the_newest_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_ledger, "MOST_PROOFS", 2)
    ledger = ImageLedger(None)
    for proof in ("a", "b", "a", "c"):
        ledger.pulled("x:1", "x:1", image_id="id", proof=proof)

    assert [entry.proofs for entry in ledger.entries()] == [("a", "c")]


def test_a_use_in_the_future_counts_as_one_of_now(clock: Clock) -> None:
    ledger = ImageLedger(None, now=clock)
    _pulled(ledger, "x:1")
    clock.now -= timedelta(days=365)
    (entry,) = ledger.entries()

    assert ledger.age(entry) == timedelta(0)
    clock.now += timedelta(hours=1)
    (entry,) = ledger.entries()
    assert ledger.age(entry) == timedelta(hours=1)


def test_threads_do_not_lose_each_others_changes(path: Path) -> None:
    ledger = ImageLedger(path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: _pulled(ledger, f"x:{number}"), range(20)))

    assert len(ImageLedger(path).entries()) == 20


def test_processes_do_not_lose_each_others_changes(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_pull_many, args=(path, name)) for name in ("a", "b")]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0]
    assert len(ImageLedger(path).entries()) == 40


def _pull_many(path: Path, name: str) -> None:
    ledger = ImageLedger(path)
    for number in range(20):
        ledger.pulled(f"{name}:{number}", name, image_id="id", proof=PUBLIC)
