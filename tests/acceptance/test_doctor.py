"""`torkd doctor` and `torkctl doctor` against a real daemon and its database."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.daemon import Daemon
from torkd.datastore.embedded import attach


def torkd_doctor(daemon: Daemon, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """On the machine of the daemon, with its settings."""
    return subprocess.run(
        [sys.executable, "-m", "torkd", "doctor", *options],
        env={**daemon.environment, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def stalled(daemon: Daemon) -> Iterator[str]:
    """A job whose only task has vanished."""
    dsn = attach(Path(daemon.environment["TORK_DATA_DIR"]))
    assert dsn is not None
    job_id = daemon.submit({"name": "stalled", "tasks": [{"name": "a", "run": "true", "queue": "nobody"}]})
    daemon.call("DELETE", "/queues/nobody")
    with psycopg.connect(dsn) as connection:
        connection.execute("DELETE FROM tasks WHERE job_id = %s", (job_id,))
    yield job_id
    daemon.call("DELETE", "/queues/nobody")
    if daemon.job(job_id)["state"] not in {"CANCELLED", "COMPLETED"}:
        daemon.call("PUT", f"/jobs/{job_id}/cancel")


def test_all_is_well(daemon: Daemon) -> None:
    ran = daemon.torkctl("doctor")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert {line.split()[0] for line in ran.stdout.splitlines()[1:]} == {"OK"}
    local = torkd_doctor(daemon)
    assert (local.returncode, local.stderr) == (0, "")
    assert local.stdout.splitlines()[0] == "-     broker: it is in the daemon's memory: torkctl doctor asks the daemon"
    assert {line.split()[0] for line in local.stdout.splitlines()[1:]} == {"OK"}
    assert "OK    work directories: none is left of a daemon that was killed" in local.stdout


def test_without_the_key_that_the_database_was_sealed_with_nothing_is_said_to_be_well(daemon: Daemon) -> None:
    dsn = attach(Path(daemon.environment["TORK_DATA_DIR"]))
    assert dsn is not None
    with psycopg.connect(dsn, autocommit=True) as connection:
        (before,) = connection.execute("SELECT sealed_with FROM engine").fetchone() or ("",)
        connection.execute("UPDATE engine SET sealed_with = 'ef2c552c'")
        try:
            ran = torkd_doctor(daemon)
        finally:
            connection.execute("UPDATE engine SET sealed_with = %s", (before,))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(
        "torkd: the database holds values sealed with the encryption key ef2c552c, and this process"
    )


def test_what_is_wrong_is_a_line_with_ids_and_exit_code_1(daemon: Daemon, stalled: str) -> None:
    ran = daemon.torkctl("doctor")
    (line,) = [line for line in ran.stdout.splitlines() if line.startswith("WRONG")]
    assert ran.returncode == 1
    assert line.split()[1] == "jobs"
    assert stalled in line
    assert daemon.torkctl("doctor", "-o", "name").stdout == "jobs\n"
    document = json.loads(daemon.torkctl("doctor", "-o", "json").stdout)
    assert [check["ids"] for check in document["checks"] if not check["ok"]] == [[stalled]]
    local = torkd_doctor(daemon)
    assert (local.returncode, "WRONG jobs: 1 active" in local.stdout) == (1, True)


def test_a_dry_run_says_what_a_repair_then_does(daemon: Daemon, stalled: str) -> None:
    would = daemon.torkctl("doctor", "--fix", "--dry-run")
    assert (would.returncode, "would repair jobs: let them go on" in would.stderr) == (1, True)
    assert daemon.job(stalled)["execution"] == []
    done = daemon.torkctl("doctor", "--fix")
    assert "repaired jobs" in done.stderr
    assert [task["name"] for task in daemon.job(stalled)["execution"]] == ["a"]
    assert "nothing to repair" in daemon.torkctl("doctor", "--fix").stderr


def test_torkd_doctor_repairs_in_the_database_and_the_daemon_goes_on(daemon: Daemon, stalled: str) -> None:
    would = torkd_doctor(daemon, "--dry-run")
    assert (would.returncode, "FIX   jobs: would repair" in would.stdout) == (1, True)
    assert daemon.job(stalled)["execution"] == []
    done = torkd_doctor(daemon, "--fix")
    assert "FIX   jobs: repaired" in done.stdout
    assert done.returncode == 0, done.stdout
    assert [task["name"] for task in daemon.job(stalled)["execution"]] == ["a"]


def test_a_database_that_is_away_is_one_line_and_exit_code_1(daemon: Daemon) -> None:
    dsn = "host=127.0.0.1 port=9 connect_timeout=2"
    ran = torkd_doctor(daemon, TORK_DATASTORE_POSTGRES_DSN=dsn)
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (1, "", 1), ran.stderr
    assert ran.stderr.startswith("torkd: the database can't be reached")


def test_a_server_that_is_away_is_exit_code_5(daemon: Daemon) -> None:
    assert daemon.torkctl("doctor", "-e", "http://127.0.0.1:9", "--retry-for", "0s").returncode == 5


def test_a_database_without_the_schema_is_one_line_that_says_what_to_do(daemon: Daemon) -> None:
    dsn = attach(Path(daemon.environment["TORK_DATA_DIR"]))
    assert dsn is not None
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE empty")
    try:
        ran = torkd_doctor(daemon, TORK_DATASTORE_POSTGRES_DSN=dsn.replace("dbname=tork", "dbname=empty"))
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr == (
            "torkd: the database lacks migration 0001_first (right would be to run torkd migration first)\n"
        )
    finally:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("DROP DATABASE empty WITH (FORCE)")
