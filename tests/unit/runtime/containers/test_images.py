"""Images come when they are needed, once, and only to those who may have them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.support.fake_containers import Remote
from tests.support.fake_engine import FakeEngine
from tests.support.runs import RecordedLog
from tests.support.waiting import wait_until
from tork.errors import RuntimeFailure, TaskStopped
from torkd.runtime.containers.engine import Credentials, EngineError, EngineUnavailable, PullEvent
from torkd.runtime.containers.image_ledger import ImageLedger
from torkd.runtime.containers.images import ImageStore, Verification, engine_name
from torkd.runtime.stopping import StopReason, StopSignal

ANN = Credentials(username="ann", password="a")
BOB = Credentials(username="bob", password="b")
TRY = Verification(name="torkd-r1-verify", labels={"torkd.run": "r1"})


class Task:
    """A task that wants an image."""

    def __init__(self, store: ImageStore, credentials: Credentials | None = None) -> None:
        self.store, self.credentials = store, credentials
        self.log, self.stop = RecordedLog(), StopSignal()
        self.times_asked = 0

    def ensure(self, image: str, verification: Verification | None = None) -> None:
        self.store.ensure(image, self._credentials, self.log, self.stop, verification=verification)

    @property
    def lines(self) -> list[str]:
        return self.log.text.splitlines()

    def _credentials(self) -> Credentials | None:
        self.times_asked += 1
        return self.credentials


class Tasks:
    """Tasks that want images at the same time."""

    def __init__(self, store: ImageStore, pool: ThreadPoolExecutor) -> None:
        self._store, self._pool = store, pool

    def start(self, image: str, credentials: Credentials | None = None) -> tuple[Task, Future[None]]:
        task = Task(self._store, credentials)
        return task, self._pool.submit(task.ensure, image)


@pytest.fixture
def engine() -> FakeEngine:
    engine = FakeEngine("local")
    engine.remote["alpine"] = Remote()
    engine.remote["reg.test/private:1"] = Remote(credentials=ANN)
    return engine


@pytest.fixture
def store(engine: FakeEngine) -> ImageStore:
    return ImageStore(engine, ImageLedger(None), clock=lambda: 0.0)


@pytest.fixture
def tasks(engine: FakeEngine, store: ImageStore) -> Iterator[Tasks]:
    with ThreadPoolExecutor(8) as pool:
        yield Tasks(store, pool)
        for image in engine.remote:
            engine.release(image)


def test_an_image_that_is_there_is_looked_for_once_and_not_mentioned(engine: FakeEngine, store: ImageStore) -> None:
    first, second = Task(store), Task(store)
    first.ensure("local")
    second.ensure("docker.io/library/local:latest")

    assert [call.method for call in engine.calls] == ["has_image"]
    assert (first.lines, second.lines) == ([], [])
    assert first.times_asked == 0


def test_a_missing_image_is_pulled_and_announced(engine: FakeEngine, store: ImageStore) -> None:
    task = Task(store)
    task.ensure("alpine")

    assert engine.has_image("alpine")
    assert task.lines == ["Pulling image alpine", "Pulled image alpine in 0.0 s"]
    assert store.pulls() == []


def test_a_pulled_image_costs_no_call(engine: FakeEngine, store: ImageStore) -> None:
    Task(store).ensure("alpine")
    before = engine.count()
    Task(store).ensure("alpine")

    assert engine.count() == before


@pytest.mark.parametrize(("image", "was_believed"), [("local", True), ("other", False)])
def test_a_forgotten_image_is_looked_for_again(
    engine: FakeEngine, store: ImageStore, image: str, was_believed: bool
) -> None:
    Task(store).ensure("local")

    assert store.forget(image) is was_believed
    Task(store).ensure("local")
    assert engine.count("has_image") == 1 + was_believed


def test_an_image_that_went_away_is_pulled_again(engine: FakeEngine, store: ImageStore) -> None:
    Task(store).ensure("alpine")
    engine.remove_image("alpine")
    store.forget("alpine")
    Task(store).ensure("alpine")

    assert engine.count("pull_image") == 2


@pytest.mark.parametrize(
    ("error", "kind"),
    [(EngineError("no space"), EngineError), (EngineUnavailable("gone"), EngineUnavailable)],
    ids=["refused", "engine away"],
)
def test_a_failed_pull_says_which_image_and_why(
    engine: FakeEngine, store: ImageStore, error: EngineError, kind: type[EngineError]
) -> None:
    engine.fail("pull_image", error=error)

    with pytest.raises(kind, match=f"^error pulling image: alpine: {error}$"):
        Task(store).ensure("alpine")
    Task(store).ensure("alpine")


def test_credentials_that_cannot_be_had_fail_the_pull(engine: FakeEngine, store: ImageStore) -> None:
    def fail() -> Credentials | None:
        raise RuntimeFailure("helper broke")

    with pytest.raises(RuntimeFailure, match=r"^error pulling image: alpine: helper broke$"):
        store.ensure("alpine", fail, RecordedLog(), StopSignal())
    assert engine.count("pull_image") == 0


def test_a_pull_that_brings_nothing_is_a_failure(engine: FakeEngine, store: ImageStore) -> None:
    engine.interfere(lambda call: engine.images.clear() if call.method == "image_id" else None)

    with pytest.raises(EngineError, match=r"^error pulling image: alpine: .* has it not$"):
        Task(store).ensure("alpine")


def test_progress_is_told_and_can_be_asked_for(engine: FakeEngine, store: ImageStore, tasks: Tasks) -> None:
    times = iter(range(0, 1000, 10))
    store.clock = lambda: float(next(times))
    event = PullEvent(layer="a", status="Downloading", current=40_000_000, total=100_000_000)
    engine.remote["alpine"] = Remote(events=[event], held=True)
    task, done = tasks.start("alpine")

    wait_until(lambda: len(task.lines) == 2)
    assert task.lines[1] == "alpine: 0 of 1 layers, 40 MB of 100 MB (40 %)"
    assert [(pull.image, pull.percent) for pull in store.pulls()] == [("docker.io/library/alpine:latest", 40.0)]
    engine.release("alpine")
    done.result(10)


def test_tasks_that_want_the_same_image_wait_for_one_pull(engine: FakeEngine, tasks: Tasks) -> None:
    engine.remote["alpine"].held = True
    started = [tasks.start(name) for name in ("alpine", "alpine", "alpine")]
    wait_until(lambda: sum("Waiting" in task.log.text for task, _ in started) == 2)
    engine.release("alpine")
    for _, done in started:
        done.result(10)

    assert engine.count("pull_image") == 1
    assert engine.count("has_image") == 1
    waiting = ["Waiting for image alpine, which another task pulls"]
    assert sorted(len(task.lines) for task, _ in started) == [1, 1, 2]
    assert [task.lines for task, _ in started].count(waiting) == 2


def test_no_image_waits_behind_another(engine: FakeEngine, tasks: Tasks) -> None:
    engine.remote["alpine"].held = True
    engine.remote["debian"] = Remote()
    tasks.start("alpine")
    wait_until(lambda: engine.count("pull_image") == 1)

    for image in ("local", "debian"):
        tasks.start(image)[1].result(10)


def test_after_a_failed_pull_a_waiting_task_tries_with_its_own_credentials(engine: FakeEngine, tasks: Tasks) -> None:
    engine.remote["reg.test/private:1"].held = True
    blocked = threading.Event()
    engine.interfere(lambda call: _hold(blocked) if call.method == "pull_image" and call.nth == 1 else None)
    bob, bobs = tasks.start("reg.test/private:1", BOB)
    wait_until(lambda: engine.count("pull_image") == 1)
    ann, anns = tasks.start("reg.test/private:1", ANN)
    wait_until(lambda: ann.lines)
    blocked.set()
    with pytest.raises(EngineError, match="access denied"):
        bobs.result(10)
    engine.release("reg.test/private:1")
    anns.result(10)

    assert ann.lines[:2] == [
        "Waiting for image reg.test/private:1, which another task pulls",
        "Pulling image reg.test/private:1",
    ]
    assert bob.lines == ["Pulling image reg.test/private:1"]


def test_a_stopped_task_gives_its_pull_up_and_a_waiting_one_takes_over(engine: FakeEngine, tasks: Tasks) -> None:
    engine.remote["alpine"].held = True
    first, firsts = tasks.start("alpine")
    wait_until(lambda: engine.count("pull_image") == 1)
    second, seconds = tasks.start("alpine")
    wait_until(lambda: second.lines)
    first.stop.set(StopReason.CANCELLED, "cancelled")
    with pytest.raises(TaskStopped):
        firsts.result(10)
    wait_until(lambda: engine.count("pull_image") == 2)
    engine.release("alpine")
    seconds.result(10)

    assert second.lines[1] == "Pulling image alpine"


def test_a_stopped_task_does_not_wait_for_anothers_pull(engine: FakeEngine, tasks: Tasks) -> None:
    engine.remote["alpine"].held = True
    _, firsts = tasks.start("alpine")
    wait_until(lambda: engine.count("pull_image") == 1)
    second, seconds = tasks.start("alpine")
    wait_until(lambda: second.lines)
    second.stop.set(StopReason.CANCELLED, "cancelled")
    with pytest.raises(TaskStopped):
        seconds.result(10)

    assert not firsts.done()
    engine.release("alpine")
    firsts.result(10)


def test_a_stopped_task_leaves_a_pull_that_has_not_even_begun(engine: FakeEngine, tasks: Tasks) -> None:
    silent = threading.Event()
    engine.interfere(lambda call: _hold(silent) if call.method == "pull_image" else None)
    task, done = tasks.start("alpine")
    wait_until(lambda: engine.count("pull_image") == 1)
    task.stop.set(StopReason.CANCELLED, "cancelled")
    try:
        with pytest.raises(TaskStopped):
            done.result(10)
    finally:
        silent.set()


def test_a_task_that_is_stopped_already_pulls_nothing(engine: FakeEngine, store: ImageStore) -> None:
    task = Task(store)
    task.stop.set(StopReason.CANCELLED, "cancelled")
    with pytest.raises(TaskStopped):
        task.ensure("alpine")

    assert engine.count() == 0


def test_an_image_pulled_with_credentials_is_for_those_who_have_them(engine: FakeEngine, store: ImageStore) -> None:
    Task(store, ANN).ensure("reg.test/private:1")
    again = Task(store, ANN)
    again.ensure("reg.test/private:1")
    assert again.lines == []

    for credentials in (BOB, None):
        with pytest.raises(EngineError, match="access denied"):
            Task(store, credentials).ensure("reg.test/private:1")
    assert engine.has_image("reg.test/private:1")
    assert engine.count("pull_image") == 3


def test_who_pulls_it_successfully_may_use_it_from_then_on(engine: FakeEngine, store: ImageStore) -> None:
    Task(store, ANN).ensure("reg.test/private:1")
    engine.remote["reg.test/private:1"].credentials = None
    Task(store, BOB).ensure("reg.test/private:1")
    assert engine.count("pull_image") == 2

    for credentials in (ANN, BOB):
        Task(store, credentials).ensure("reg.test/private:1")
    assert engine.count("pull_image") == 2


def test_an_image_that_anybody_can_pull_is_for_all(engine: FakeEngine, store: ImageStore) -> None:
    Task(store).ensure("alpine")
    task = Task(store, BOB)
    task.ensure("alpine")

    assert (engine.count("pull_image"), task.times_asked) == (1, 0)


def test_a_digest_is_no_way_around_credentials(engine: FakeEngine, store: ImageStore) -> None:
    by_digest = f"reg.test/private@sha256:{'a' * 64}"
    Task(store, ANN).ensure("reg.test/private:1")
    engine.images[by_digest] = "sha256:aaa"  # as engines have it after a pull by tag

    Task(store, ANN).ensure(by_digest)
    with pytest.raises(EngineError, match="access denied"):
        Task(store, BOB).ensure(by_digest)


def test_an_image_of_the_operator_is_for_all_even_beside_private_ones(engine: FakeEngine, store: ImageStore) -> None:
    Task(store, ANN).ensure("reg.test/private:1")
    engine.images["reg.test/private:built-here"] = "sha256:b"
    Task(store).ensure("reg.test/private:built-here")

    assert engine.count("pull_image") == 1


def test_access_to_an_image_survives_a_restart(engine: FakeEngine, store: ImageStore) -> None:
    Task(store, ANN).ensure("reg.test/private:1")
    restarted = ImageStore(engine, store.ledger)
    Task(restarted, ANN).ensure("reg.test/private:1")
    assert engine.count("pull_image") == 1

    with pytest.raises(EngineError, match="access denied"):
        Task(ImageStore(engine, store.ledger), BOB).ensure("reg.test/private:1")


def test_an_image_that_came_although_its_pull_was_given_up_is_not_for_all(
    engine: FakeEngine, store: ImageStore
) -> None:
    engine.fail("pull_image", after=True)
    with pytest.raises(EngineError):
        Task(store, ANN).ensure("reg.test/private:1")
    assert engine.has_image("reg.test/private:1")

    with pytest.raises(EngineError, match="access denied"):
        Task(store, BOB).ensure("reg.test/private:1")


def test_a_failed_pull_does_not_claim_what_the_operator_brings_later(engine: FakeEngine, store: ImageStore) -> None:
    with pytest.raises(EngineError):
        Task(store).ensure("mine")
    engine.images["mine:latest"] = "sha256:mine"
    Task(store, BOB).ensure("mine")

    assert store.ledger.entries() == []


def test_a_pulled_image_is_tried_and_nothing_of_that_stays(engine: FakeEngine, store: ImageStore) -> None:
    Task(store).ensure("alpine", TRY)

    made = next(call for call in engine.calls if call.method == "create_container")
    assert made.arguments == (TRY.name, {"Image": "alpine:latest", "Cmd": ["true"], "Labels": TRY.labels})
    assert engine.leftovers() == []


@pytest.mark.parametrize("after", [False, True], ids=["not made", "made"])
def test_an_image_that_no_container_can_be_made_of_is_removed(
    engine: FakeEngine, store: ImageStore, after: bool
) -> None:
    engine.fail("create_container", after=after, error=EngineError("bad layer"))

    with pytest.raises(EngineError, match=r"^image alpine is invalid or corrupted: bad layer$"):
        Task(store).ensure("alpine", TRY)
    assert not engine.has_image("alpine")
    assert engine.leftovers() == []
    assert store.ledger.entries() == []
    Task(store).ensure("alpine", TRY)


def test_an_engine_that_goes_away_says_nothing_about_the_image(engine: FakeEngine, store: ImageStore) -> None:
    engine.fail("create_container", error=EngineUnavailable("gone"))
    with pytest.raises(EngineUnavailable, match="gone"):
        Task(store).ensure("alpine", TRY)

    assert engine.has_image("alpine")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("nth", range(1, 6))
def test_whatever_call_fails_the_next_task_gets_the_image(
    engine: FakeEngine, store: ImageStore, nth: int, after: bool
) -> None:
    engine.fail(nth=nth, after=after)
    try:
        Task(store, ANN).ensure("reg.test/private:1", TRY)
    except EngineError:
        pass
    with pytest.raises(EngineError, match="access denied"):
        Task(store, BOB).ensure("reg.test/private:1", TRY)
    Task(store, ANN).ensure("reg.test/private:1", TRY)

    assert store.pulls() == []
    assert [entry.allows(store.ledger.proof(ANN)) for entry in store.ledger.entries()] == [True]


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("alpine", "alpine:latest"),
        ("alpine:3", "alpine:3"),
        ("host:5000/x", "host:5000/x:latest"),
        ("host:5000/x:1", "host:5000/x:1"),
        ("x@sha256:ab", "x@sha256:ab"),
        ("host:5000/x:1@sha256:ab", "host:5000/x@sha256:ab"),
        ("003f", "003f:latest"),
    ],
)
def test_an_engine_is_never_asked_for_what_may_be_an_id(image: str, name: str) -> None:
    assert engine_name(image) == name


def test_what_is_no_name_is_refused(engine: FakeEngine, store: ImageStore) -> None:
    calls: list[Callable[[], object]] = [lambda: Task(store).ensure("a b"), lambda: store.forget("a b")]
    for call in calls:
        with pytest.raises(RuntimeFailure):
            call()
    assert engine.count() == 0


def _hold(event: threading.Event) -> None:
    assert event.wait(30)
