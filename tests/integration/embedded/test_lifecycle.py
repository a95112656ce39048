"""The embedded PostgreSQL with real processes: what survives a kill, who is refused, and that nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psycopg
import pytest

from tests.support.embedded_process import (
    Starter,
    answers,
    eventually,
    kept,
    kill,
    kill_all,
    make_table,
    processes_of,
    server_pid,
)
from tests.support.postgres import DEBIAN_15
from tork.errors import StartError
from torkd.datastore import embedded
from torkd.datastore.embedded import attach, start_embedded, start_in_free_run_directory
from torkd.datastore.embedded_lock import DirectoryInUse
from torkd.datastore.keeper import LOG_BYTES

pytestmark = pytest.mark.postgres

needs_15 = pytest.mark.skipif(not DEBIAN_15.is_dir(), reason="needs PostgreSQL 15 (Debian: postgresql-15)")


def kill_server(starter: Starter) -> None:
    """Kill the server and wait for its successor."""
    killed = server_pid(starter.base)
    kill(killed)
    eventually(lambda: server_pid(starter.base) not in (0, killed) and answers(starter.dsn), "connections come back")


def setting(dsn: str, name: str) -> str:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])


def test_first_start_makes_a_database_that_the_next_start_still_has(place: Path) -> None:
    first = start_embedded(place / "new" / "base")
    make_table(first.dsn)
    first.stop()
    assert processes_of(place) == []
    second = start_embedded(place / "new" / "base")
    assert kept(second.dsn) == [(42,)]
    second.stop()


@pytest.mark.parametrize(
    ("name", "value"),
    [("fsync", "on"), ("synchronous_commit", "on"), ("full_page_writes", "on"), ("listen_addresses", "")],
)
def test_commits_are_durable_and_the_network_is_shut(base: Path, name: str, value: str) -> None:
    server = start_embedded(base)
    assert setting(server.dsn, name) == value
    server.stop()


def test_stop_leaves_no_process_even_with_open_sessions(base: Path) -> None:
    server = start_embedded(base)
    with psycopg.connect(server.dsn):
        server.stop()
        assert processes_of(base) == []
    server.stop()


def test_killed_starter_takes_keeper_and_server_with_it(starter: Starter) -> None:
    starter.kill()
    eventually(lambda: not processes_of(starter.base), "the keeper stops the server and ends")


def test_interrupted_start_leaves_no_server(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(embedded, "_first_line", interrupt)
        with pytest.raises(KeyboardInterrupt):
            start_embedded(base)
    eventually(lambda: not processes_of(base), "the keeper stops the server and ends")
    start_embedded(base).stop()


def test_forked_child_that_outlives_the_starter_does_not_keep_the_server(base: Path) -> None:
    starter = Starter(base, "fork").answer()
    starter.process.kill()
    eventually(lambda: server_pid(base) == 0, "the server is stopped while the child lives")
    os.kill(starter.child, signal.SIGKILL)
    starter.process.communicate()


def test_start_right_after_a_kill_waits_for_the_old_keeper(starter: Starter) -> None:
    make_table(starter.dsn)
    starter.kill()
    server = start_embedded(starter.base)
    assert kept(server.dsn) == [(42,)]
    server.stop()


def test_killed_server_is_started_again_and_has_its_rows(starter: Starter) -> None:
    make_table(starter.dsn)
    kill_server(starter)
    assert kept(starter.dsn) == [(42,)]
    assert starter.stop() == 0


def test_server_that_is_killed_again_and_again_comes_back_each_time(starter: Starter) -> None:
    for _ in range(4):
        kill_server(starter)
    assert starter.stop() == 0


def test_signals_to_the_keeper_do_not_end_the_server(starter: Starter) -> None:
    server = server_pid(starter.base)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(starter.keeper, number)
    assert answers(starter.dsn)
    assert server_pid(starter.base) == server
    assert starter.stop() == 0


def test_stop_ends_the_server_of_a_killed_keeper(starter: Starter) -> None:
    kill(starter.keeper)
    assert starter.stop() == 0
    assert processes_of(starter.base) == []


def test_killed_keeper_does_not_open_the_directory_to_a_second_torkd(starter: Starter) -> None:
    kill(starter.keeper)
    with pytest.raises(DirectoryInUse):
        start_embedded(starter.base)
    assert starter.stop() == 0


def test_server_orphaned_by_killing_starter_and_keeper_is_taken_over(starter: Starter) -> None:
    make_table(starter.dsn)
    orphan = server_pid(starter.base)
    starter.process.send_signal(signal.SIGSTOP)  # so that the keeper can't hear of the end before its own
    kill(starter.keeper)
    starter.kill()
    assert orphan in [process.pid for process in processes_of(starter.base)]
    server = start_embedded(starter.base)
    assert server_pid(starter.base) != orphan
    assert kept(server.dsn) == [(42,)]
    server.stop()


def test_rows_survive_killing_everything_at_once(starter: Starter) -> None:
    make_table(starter.dsn)
    kill_all(starter.base)
    starter.kill()
    server = start_embedded(starter.base)
    assert kept(server.dsn) == [(42,)]
    server.stop()


def test_start_that_was_killed_while_it_made_the_data_is_repeated(place: Path) -> None:
    starter = Starter(place / "base")
    eventually(lambda: list(place.glob("base/postgres/data.new-*")), "initdb runs")
    starter.kill()
    server = start_embedded(place / "base")
    assert answers(server.dsn)
    assert list(place.glob("base/postgres/data.new-*")) == []
    server.stop()


def test_second_starter_is_refused_with_one_sentence_that_names_the_first(starter: Starter) -> None:
    second = Starter(starter.base).answer()
    second.stop()
    assert second.error == (
        f"{starter.base} is in use by another torkd (process {starter.process.pid}): "
        "stop that one, or set data.dir (TORK_DATA_DIR) to another directory"
    )
    assert answers(starter.dsn)
    assert starter.stop() == 0


def test_pid_file_that_names_a_stranger_does_not_block_the_start(base: Path) -> None:
    """After a reboot the number of the old server may be anybody's; PostgreSQL by itself would refuse to start."""
    data = base / "postgres" / "data"
    owner = data.stat().st_uid
    with subprocess.Popen(["sleep", "600"], user=owner) as stranger:
        pid_file = data / "postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n{data}\n1\n5432\n{base}\n\n0 0\nready   \n")
        os.chown(pid_file, owner, -1)
        server = start_embedded(base)
        assert answers(server.dsn)
        server.stop()
        assert stranger.poll() is None
        stranger.kill()


def test_attach_finds_a_running_server_and_only_that(base: Path) -> None:
    assert attach(base) is None
    server = start_embedded(base)
    assert attach(base) == server.dsn
    server.stop()
    assert attach(base) is None


def test_runs_at_the_same_time_get_directories_of_their_own(place: Path) -> None:
    starters = [Starter(place, "run") for _ in range(3)]
    assert sorted(starter.answer().base.name for starter in starters) == ["run-1", "run-2", "run-3"]
    assert all(answers(starter.dsn) for starter in starters)
    second = next(starter for starter in starters if starter.base.name == "run-2")
    assert second.stop() == 0
    again = start_in_free_run_directory(place)
    assert again.base.name == "run-2"
    again.stop()
    assert [starter.stop() for starter in starters if starter is not second] == [0, 0]


@pytest.mark.parametrize("name", ["x" * 120, "with space, comma and 'quote'"], ids=["long", "odd characters"])
def test_path_that_can_not_hold_a_socket_gets_one_in_a_short_directory(place: Path, name: str) -> None:
    server = start_embedded(place / name)
    socket_directory = Path(str(psycopg.conninfo.conninfo_to_dict(server.dsn)["host"]))
    assert answers(server.dsn)
    assert socket_directory.stat().st_mode & 0o077 == 0
    server.stop()
    socket_directory.rmdir()


@needs_15
def test_existing_data_choose_the_programs_of_their_major_version(place: Path) -> None:
    start_embedded(place / "base", binaries=DEBIAN_15).stop()
    server = start_embedded(place / "base")
    assert setting(server.dsn, "server_version").startswith("15.")
    server.stop()


def test_data_of_a_major_version_without_programs_are_refused_by_name(base: Path) -> None:
    (base / "postgres" / "data" / "PG_VERSION").write_text("12\n")
    with pytest.raises(StartError, match=r"written by PostgreSQL 12, and only .*18.* install PostgreSQL 12") as caught:
        start_embedded(base)
    assert "\n" not in str(caught.value)


def test_refused_setting_is_told_in_the_words_of_postgresql(base: Path) -> None:
    with pytest.raises(StartError, match='did not start: invalid value for parameter "max_connections"'):
        start_embedded(base, settings={"max_connections": "many"})
    start_embedded(base).stop()


def test_data_directory_that_is_a_file_is_refused(place: Path) -> None:
    (place / "base").write_text("")
    with pytest.raises(StartError, match=r"can't be used by .*Not a directory"):
        start_embedded(place / "base")


def test_long_log_is_moved_aside(base: Path) -> None:
    log = base / "postgres" / "server.log"
    with log.open("r+b") as file:
        file.truncate(LOG_BYTES + 1)
    start_embedded(base).stop()
    assert log.stat().st_size < LOG_BYTES
    assert log.with_name("server.log.1").stat().st_size == LOG_BYTES


def test_environment_of_torkd_reaches_no_process_of_the_server(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORK_SECRET_FOR_TEST", "hunter2")
    server = start_embedded(base)
    environments = [process.environ() for process in processes_of(base)]
    server.stop()
    assert environments
    assert all("TORK_SECRET_FOR_TEST" not in environment for environment in environments)
