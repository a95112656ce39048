"""`torkd.Engine` within another program: this one."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.postgres import room
from tests.support.waiting import wait_until
from tork.errors import (
    DefinitionError,
    NotFound,
    Refused,
    SettingsError,
    StartError,
    StateConflict,
    TimedOut,
    TorkError,
)
from tork.job import JobDefinition, JobState, JobSummary
from tork.task import TaskDefinition
from torkd import Engine, extensions
from torkd.datastore.embedded import attach
from torkd.endpoints import Wsgi
from torkd.middleware import Caller, JobMiddleware
from torkd.node_identity import dead_nodes
from torkd.runtime.protocol import Runtime
from torkd.wiring import Engine as Parts

HELLO = "name: hello\ntasks: [{name: t, run: 'echo -n hi > $TORK_OUTPUT'}]\noutput: '{{ tasks.v }}'\n".replace(
    "name: t,", "name: t, var: v,"
)
LONG = {"name": "long", "tasks": [{"name": "t", "run": "sleep 60"}]}


class Tags(JobMiddleware):
    """Refuses one name, fails at another, and tags the others."""

    def submitted(self, definition: JobDefinition, caller: Caller) -> JobDefinition:
        if definition.name == "no":
            raise Refused("not this one")
        if definition.name == "broken":
            raise ZeroDivisionError("a fault of its own")
        return replace(definition, tags=["seen"])


class Running:
    """An engine, with what its callback was told."""

    def __init__(self, base: Path) -> None:
        self.changes: list[JobSummary] = []
        self.engine = an_engine(base, {"worker.queues.default": 4}, address="127.0.0.1:0")
        self.engine.register_job_middleware(Tags())
        self.engine.on_job_change(self.changes.append)


def an_engine(base: Path, settings: dict[str, Any] | None = None, **options: Any) -> Engine:
    known = {"data.dir": str(base / "data"), "mounts.temp.dir": str(base / "tmp"), "worker.drain": "0s"}
    return Engine({**known, **(settings or {})}, environ={"PATH": "/usr/bin:/bin"}, **options)


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="torkd-test-", dir=room()))
    made.chmod(0o711)
    (made / "tmp").mkdir(mode=0o777)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def running(base: Path) -> Iterator[Running]:
    """Started and closed in threads that are not the main one."""
    running = Running(base)
    in_a_thread(running.engine.start)
    yield running
    in_a_thread(running.engine.close)


def in_a_thread(work: Any) -> None:
    raised: list[BaseException] = []

    def call() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 -- whatever it is, the test wants to see it
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(60)
    assert not raised
    assert not thread.is_alive()


def test_a_job_is_submitted_awaited_and_told_of(running: Running) -> None:
    submitted = running.engine.submit(HELLO)
    assert (submitted.name, submitted.tags) == ("hello", ["seen"])
    job = running.engine.wait(submitted.id, timeout=30)
    assert (job.state, job.result) == (JobState.COMPLETED, "hi")
    wait_until(lambda: [job.state for job in running.changes if job.id == submitted.id][-1:] == [JobState.COMPLETED])


@pytest.mark.parametrize(
    "job",
    [
        JobDefinition(name="a", tasks=[TaskDefinition(name="t", run="true")]),
        {"name": "a", "tasks": [{"name": "t", "run": "true"}]},
    ],
    ids=["value", "document"],
)
def test_jobs_come_as_values_and_as_documents_too(running: Running, job: Any) -> None:
    assert running.engine.wait(running.engine.submit(job).id, 30).state is JobState.COMPLETED


@pytest.mark.parametrize(
    "job", ["name: [", {"nome": "x"}, JobDefinition(tasks=[]), "name: x\nschedule: {cron: '* * * * *'}"]
)
def test_a_wrong_job_is_refused_with_every_mistake(running: Running, job: Any) -> None:
    with pytest.raises(DefinitionError):
        running.engine.submit(job)


def test_middleware_refuses_here_too(running: Running) -> None:
    with pytest.raises(Refused, match=r"^not this one$"):
        running.engine.submit({"name": "no", "tasks": [{"name": "t", "run": "true"}]})


def test_middleware_that_fails_is_told_of_once_a_minute(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        running.engine.submit({"name": "broken", "tasks": [{"name": "t", "run": "true"}]})
    assert len([line for line in caplog.messages if "the middleware Tags failed in submitted" in line]) == 1


def test_waiting_ends_in_time_and_cancelling_ends_waiting(running: Running) -> None:
    engine = running.engine
    job_id = engine.submit(LONG).id
    with pytest.raises(TimedOut, match=f"^job {job_id} has not ended within 0.05 seconds$"):
        engine.wait(job_id, 0.05)
    canceller = threading.Timer(0.05, engine.cancel, [job_id])
    canceller.start()
    assert engine.wait(job_id, 30).state is JobState.CANCELLED
    canceller.join()
    with pytest.raises(StateConflict):
        engine.cancel(job_id)
    engine.restart(job_id)
    assert engine.job(job_id).state.is_active
    engine.cancel(job_id)


def test_an_unknown_job_is_not_found(running: Running) -> None:
    for act in (running.engine.wait, running.engine.job, running.engine.cancel, running.engine.restart):
        with pytest.raises(NotFound):
            act("nowhere")


def test_many_threads_submit_and_wait_at_once(running: Running) -> None:
    states: list[JobState] = []

    def work() -> None:
        states.append(running.engine.wait(running.engine.submit(HELLO).id, 60).state)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert states == [JobState.COMPLETED] * 8


def test_the_api_is_served_at_the_address(running: Running) -> None:
    with urllib.request.urlopen(f"{running.engine.endpoint}/health", timeout=20) as answer:
        assert json.load(answer)["status"] == "UP"


def test_nothing_is_registered_and_nothing_started_twice(running: Running) -> None:
    with pytest.raises(StartError, match="register_job_middleware was called after the engine was started"):
        running.engine.on_job_change(print)
    with pytest.raises(StartError, match="this engine was started before: make another"):
        running.engine.start()


def test_jobs_outlive_the_engine_and_who_waits_is_told(base: Path) -> None:
    place = base / "again"
    place.mkdir(mode=0o711)
    (place / "tmp").mkdir(mode=0o777)
    told: list[TorkError] = []
    with an_engine(place) as engine:
        assert engine.endpoint is None
        job_id = engine.submit(LONG).id

        def wait() -> None:
            try:
                engine.wait(job_id)
            except TorkError as error:
                told.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        wait_until(lambda: engine.job(job_id).state is JobState.RUNNING)
    waiting.join(20)
    assert [str(error) for error in told] == ["the engine was closed"]
    with pytest.raises(StartError, match="does not run"):
        engine.submit(LONG)
    engine.close()
    with an_engine(place) as engine:
        assert engine.job(job_id).state.is_active
        engine.cancel(job_id)


def test_what_was_started_is_closed_though_closing_is_cut_short(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = base / "short"
    (place / "tmp").mkdir(mode=0o777, parents=True)
    place.chmod(0o711)

    def interrupted(parts: Parts) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Parts, "drain", interrupted)
    engine = an_engine(place).start()
    assert attach(place / "data") is not None
    with pytest.raises(KeyboardInterrupt):
        engine.close()
    assert attach(place / "data") is None


@pytest.mark.parametrize(
    ("settings", "error", "reason"),
    [
        (
            {"worker.queues.default": "many"},
            SettingsError,
            r"settings\['worker.queues.default'\]: worker.queues.default = ",
        ),
        (
            {"worker.quos": 1},
            SettingsError,
            r"settings\['worker.quos'\]: unknown key 'worker.quos'; the nearest",
        ),
        ({"broker.type": "nats"}, SettingsError, "invalid broker type: nats"),
    ],
)
def test_wrong_settings_start_nothing(
    tmp_path: Path, settings: dict[str, Any], error: type[TorkError], reason: str
) -> None:
    engine = an_engine(tmp_path, settings)
    with pytest.raises(error, match=reason):
        engine.start()
    assert not (tmp_path / "data").exists()
    with pytest.raises(StartError):
        engine.submit(HELLO)


def test_a_component_that_can_not_be_made_ends_the_start_in_a_sentence(base: Path) -> None:
    def make(section: object) -> Runtime:
        raise ZeroDivisionError("no licences")

    engine = an_engine(base, {"runtime.type": "mine", "data.dir": str(base / "none")})
    engine.register_runtime("mine", make)
    with pytest.raises(StartError, match=r"^can't start: ZeroDivisionError: no licences$"):
        engine.start()
    assert attach(base / "none") is None
    with pytest.raises(StartError, match="was started before"):
        engine.start()


def test_a_start_that_failed_leaves_the_ids_of_its_nodes_to_the_next(base: Path) -> None:
    def wrap(app: Wsgi) -> Wsgi:
        raise ZeroDivisionError("no licences")

    directory = base / "none"
    engine = an_engine(base, {"data.dir": str(directory)})
    engine.register_web_middleware(wrap)
    with pytest.raises(StartError, match="no licences"):
        engine.start()
    for role in ("worker", "coordinator"):
        with dead_nodes(directory, role) as free:
            assert len(free) == 1


@pytest.mark.parametrize("key", ["coordinator.tls.cert", "coordinator.tls.key"])
def test_an_address_is_not_served_in_clear_where_tls_is_set(tmp_path: Path, key: str) -> None:
    engine = an_engine(tmp_path, {key: str(tmp_path / "x.pem")}, address="localhost:0")
    with pytest.raises(
        StartError, match=r"^the API can't be served at localhost:0: that is plain HTTP, and coordinator"
    ):
        engine.start()
    assert not (tmp_path / "data").exists()


def test_settings_win_over_variables_and_those_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "torkd.toml"
    file.write_text('[worker]\nname = "file"\nlease = "20s"\nheartbeat = "4s"\n')
    environ = {"TORK_WORKER_NAME": "variable", "TORK_WORKER_LEASE": "30s"}
    loaded = Engine({"worker": {"name": "given"}}, environ=environ, config=file).read_settings().settings.worker
    assert (loaded.name, loaded.lease.total_seconds(), loaded.heartbeat.total_seconds()) == ("given", 30, 4)


def test_plugins_register_unless_they_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = [EntryPoint(name="p", value="no_such_module_of_ours:x", group="torkd.plugins")]
    monkeypatch.setattr(extensions, "entry_points", lambda group: found)
    with pytest.raises(StartError, match="the plugin 'p'"):
        an_engine(tmp_path).start()
    with pytest.raises(SettingsError, match="invalid broker type: nats"):
        an_engine(tmp_path, {"broker.type": "nats"}, plugins=False).start()


def test_running_as_a_daemon_needs_the_main_thread_and_a_mode(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="there is no mode 'all'"):
        an_engine(tmp_path).run("all")
    told: list[str] = []

    def run() -> None:
        try:
            an_engine(tmp_path).run()
        except StartError as error:
            told.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert told == ["run() needs the main thread, which gets the signals: call start() in another"]
