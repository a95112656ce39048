"""Which database a process uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tork.errors import DatastoreUnavailable, StartError
from torkd import database as choosing
from torkd.database import configured_database, database, migrate_configured
from torkd.settings import Loaded, load_settings


class Servers:
    """Stands in for the embedded PostgreSQL and for migrations, and notes what happens."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.dsn = "embedded"
        self.running: str | None = None

    def start(self, base: object) -> Servers:
        self.notes.append("start")
        return self

    def stop(self) -> None:
        self.notes.append("stop")

    def migrate(self, dsn: str) -> list[str]:
        self.notes.append(f"migrate {dsn}")
        return []

    def attach(self, base: object) -> str | None:
        return self.running


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Servers:
    servers = Servers()
    monkeypatch.setattr(choosing, "start_embedded", servers.start)
    monkeypatch.setattr(choosing, "migrate", servers.migrate)
    monkeypatch.setattr(choosing, "attach", servers.attach)
    return servers


def settings(tmp_path: Path, **environ: str) -> Loaded:
    return load_settings(
        environ, cwd=tmp_path, home=tmp_path, system=tmp_path, is_root=False, known_datastores=("custom",)
    )


NAMED = {"TORK_DATASTORE_POSTGRES_DSN": "host=db"}


def test_standalone_starts_and_stops_a_private_one(tmp_path: Path, servers: Servers) -> None:
    with database(settings(tmp_path), standalone=True) as dsn:
        assert dsn == "embedded"
        assert servers.notes == ["start", "migrate embedded"]
    assert servers.notes[-1] == "stop"


def test_a_private_one_is_stopped_when_it_can_not_be_migrated(
    tmp_path: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(dsn: str) -> list[str]:
        raise StartError("too new")

    monkeypatch.setattr(choosing, "migrate", fail)
    with pytest.raises(StartError), database(settings(tmp_path), standalone=True):
        pass
    assert servers.notes == ["start", "stop"]


@pytest.mark.parametrize("standalone", [True, False], ids=["standalone", "coordinator"])
def test_an_explicit_dsn_wins(tmp_path: Path, servers: Servers, standalone: bool) -> None:
    with database(settings(tmp_path, **NAMED), standalone=standalone) as dsn:
        assert dsn == "host=db"
    assert servers.notes == ["migrate host=db"]


def test_the_default_dsn_counts_outside_standalone(tmp_path: Path, servers: Servers) -> None:
    loaded = settings(tmp_path)
    with database(loaded, standalone=False) as dsn:
        assert dsn == loaded.settings.datastore.postgres.dsn
    assert servers.notes == [f"migrate {dsn}"]


def test_a_datastore_of_the_operators_own_is_left_alone(tmp_path: Path, servers: Servers) -> None:
    with database(settings(tmp_path, TORK_DATASTORE_TYPE="custom"), standalone=True):
        assert servers.notes == []


@pytest.mark.parametrize(
    ("environ", "running", "notes"),
    [
        pytest.param(NAMED, None, ["migrate host=db"], id="the named one"),
        pytest.param({}, "private", ["migrate private"], id="the private one that runs"),
        pytest.param({}, None, ["start", "migrate embedded", "stop"], id="the private one that does not run"),
    ],
)
def test_the_command_migrates(
    tmp_path: Path, servers: Servers, environ: dict[str, str], running: str | None, notes: list[str]
) -> None:
    (tmp_path / "postgres").mkdir()
    servers.running = running
    migrate_configured(settings(tmp_path, TORK_DATA_DIR=str(tmp_path), **environ))
    assert servers.notes == notes


def test_the_command_migrates_the_default_database_where_there_is_no_private_one(
    tmp_path: Path, servers: Servers
) -> None:
    loaded = settings(tmp_path, TORK_DATA_DIR=str(tmp_path))
    migrate_configured(loaded)
    assert servers.notes == [f"migrate {loaded.settings.datastore.postgres.dsn}"]


def test_where_no_database_was_made_the_directory_is_named(tmp_path: Path, servers: Servers) -> None:
    with pytest.raises(DatastoreUnavailable) as raised, configured_database(settings(tmp_path)):
        raise DatastoreUnavailable("refused")
    message = str(raised.value)
    assert message.startswith(
        f"refused; datastore.postgres.dsn is not set, and no daemon has kept a database in data.dir {tmp_path}"
    )
    assert "TORK_DATA_DIR" in message


def test_a_database_that_was_named_says_itself_what_is_wrong(tmp_path: Path, servers: Servers) -> None:
    with pytest.raises(DatastoreUnavailable, match=r"^refused$"), configured_database(settings(tmp_path, **NAMED)):
        raise DatastoreUnavailable("refused")
