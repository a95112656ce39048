"""Starting torkd: with nothing configured at all, and all the ways in which it refuses to start with one sentence."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from tests.support.daemon import Daemon
from tests.support.postgres import free_port, room
from tests.support.waiting import wait_until

NOBODY = ("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups")
HELLO = Path(__file__).parents[2] / "examples" / "hello.yaml"


@pytest.fixture
def base() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="torkd-start-", dir=room()))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def run_torkd(base: Path, settings: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run torkd to its end, which must come by itself."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(base),
        "LANG": "C.UTF-8",
        "TORK_DATA_DIR": str(base / "data"),
        "TORK_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}",
        "TORK_LOGGING_LEVEL": "error",
        **settings,
    }
    return subprocess.run(
        [sys.executable, "-m", "torkd", *(arguments or ("run", "standalone"))],
        env=environment,
        cwd=base,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def leftovers(base: Path) -> list[str]:
    """Processes that a refused start left behind."""
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if str(base) in words:
            found.append(words)
    return found


WRONG_SETTINGS = {
    "duration": ({"TORK_WORKER_DRAIN": "soon"}, 'worker.drain = "soon"'),
    "runtime": ({"TORK_RUNTIME_TYPE": "shel"}, "unknown runtime type: shel"),
    "level": ({"TORK_LOGGING_LEVEL": "loud"}, "invalid logging level: loud"),
    "number": ({"TORK_WORKER_QUEUES_DEFAULT": "many"}, "worker.queues.default"),
    "address": ({"TORK_COORDINATOR_ADDRESS": "here"}, "coordinator.address"),
    "missing-file": ({"TORK_CONFIG": "/no/such.toml"}, "/no/such.toml"),
    "encryption": ({"TORK_DATASTORE_ENCRYPTION_KEY": " "}, "datastore.encryption.key"),
    "broker": ({"TORK_BROKER_TYPE": "pigeons"}, "invalid broker type: pigeons"),
    "data-dir-below-a-file": ({"TORK_DATA_DIR": "/etc/hostname/data"}, "data.dir (TORK_DATA_DIR)"),
    "data-dir-of-the-kernel": ({"TORK_DATA_DIR": "/proc/nope"}, "data.dir (TORK_DATA_DIR)"),
}


@pytest.mark.parametrize(("settings", "told"), WRONG_SETTINGS.values(), ids=WRONG_SETTINGS)
def test_a_wrong_setting_ends_the_start_with_one_line(base: Path, settings: dict[str, str], told: str) -> None:
    ended = run_torkd(base, settings)
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert line.startswith("torkd: ")
    assert told in line
    assert ended.stdout == ""
    assert leftovers(base) == []


@pytest.mark.parametrize("mode", ["coordinator", "worker"])
def test_a_broker_that_nobody_else_can_reach_is_refused(base: Path, mode: str) -> None:
    ended = run_torkd(base, {}, "run", mode)
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert line == (
        f"torkd: 'torkd run {mode}' needs a broker that other processes can reach, and broker.type is inmemory: "
        "set it to rabbitmq (or use 'torkd run standalone')"
    )


def test_a_wrong_line_of_the_file_is_told_with_its_place(base: Path) -> None:
    (base / "config.toml").write_text("[worker]\ndrain = 30\ngrace = 'x'\nlease = 'y'\n")
    ended = run_torkd(base, {})
    assert ended.returncode == 2
    lines = ended.stderr.splitlines()
    assert [line for line in lines if "config.toml" in line] == lines
    assert any("worker.grace" in line for line in lines)
    assert any("worker.lease" in line for line in lines)


def test_an_unknown_key_is_a_warning_and_no_more(base: Path) -> None:
    (base / "config.toml").write_text("[worker]\ndrian = '1s'\n")
    ended = run_torkd(base, {}, "config")
    assert ended.returncode == 0
    [line] = ended.stderr.splitlines()
    assert "drian" in line
    assert "drain" in line


def test_a_taken_port_is_told_in_one_sentence(base: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run_torkd(base, {"TORK_COORDINATOR_ADDRESS": address})
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert address in line
    assert "coordinator.address" in line
    assert not (base / "data").exists(), "the database was started before the port was tried"


def test_a_data_directory_that_is_a_file_is_told_in_one_sentence(base: Path) -> None:
    (base / "data").write_text("not a directory")
    ended = run_torkd(base, {})
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert str(base / "data") in line
    assert (base / "data").read_text() == "not a directory"


def test_a_foreign_file_in_the_place_of_the_database_is_told_in_one_sentence(base: Path) -> None:
    (base / "data").mkdir()
    (base / "data" / "postgres").write_text("not a database")
    ended = run_torkd(base, {})
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert str(base / "data" / "postgres") in line
    assert leftovers(base) == []


def test_a_data_directory_in_use_is_told_in_one_sentence(daemon: Daemon, base: Path) -> None:
    ended = run_torkd(base, {"TORK_DATA_DIR": daemon.environment["TORK_DATA_DIR"]})
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert "another torkd" in line
    assert daemon.is_up()


def test_a_named_database_that_is_not_there_is_told_in_one_sentence(base: Path) -> None:
    ended = run_torkd(base, {"TORK_DATASTORE_POSTGRES_DSN": "host=127.0.0.1 port=9 user=x connect_timeout=3"})
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert "127.0.0.1" in line
    assert "database" in line


@pytest.fixture
def plugin(base: Path) -> Path:
    """An installed package whose runtime can't be made; the directory for PYTHONPATH."""
    site = base / "site"
    metadata = site / "faulty-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[torkd.plugins]\nfaulty = faulty:register\n")
    (site / "faulty.py").write_text(
        "import os\n"
        "def make(section):\n    raise RuntimeError('the licence has run out')\n"
        "def register(extensions):\n"
        "    if os.environ.get('FAULTY'): raise ValueError('no such table')\n"
        "    extensions.register_runtime('faulty', make)\n"
    )
    return site


def test_an_engine_that_fails_unexpectedly_ends_the_start_with_one_sentence(base: Path, plugin: Path) -> None:
    ended = run_torkd(base, {"PYTHONPATH": str(plugin), "TORK_RUNTIME_TYPE": "faulty"})
    assert ended.returncode == 2
    *before, last = ended.stderr.splitlines()
    assert last.startswith("torkd: ")
    assert "RuntimeError: the licence has run out" in last
    assert sum("start failed" in line for line in before) == 1, "it tried again and again"
    wait_until(lambda: not leftovers(base), timeout=10, describe=lambda: str(leftovers(base)))


def test_a_plugin_that_fails_to_register_is_named(base: Path, plugin: Path) -> None:
    ended = run_torkd(base, {"PYTHONPATH": str(plugin), "FAULTY": "1"})
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert "faulty" in line
    assert "no such table" in line


@pytest.mark.parametrize("mode", ["coordinator", "worker"])
def test_what_this_version_can_not_run_is_told(base: Path, mode: str) -> None:
    ended = run_torkd(base, {}, "run", mode)
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert "torkd run standalone" in line


@pytest.fixture
def as_nobody() -> tuple[list[str], dict[str, str]]:
    """How to run this Python as the user nobody: the command's beginning, and its environment."""
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    paths = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    # An interpreter below the home of root is out of nobody's reach; the system's one can import the same packages.
    for interpreter, environment in ((sys.executable, {"PATH": paths["PATH"]}), (f"/usr/bin/{version}", paths)):
        command = [*NOBODY, interpreter]
        try:
            check = "import os, sys, torkd.wiring; assert os.access(sys.executable, os.X_OK)"
            subprocess.run([*command, "-c", check], env=environment, cwd="/", check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return command, environment
    pytest.skip(f"the user nobody can run no {version} here")


def test_nothing_configured_at_all_is_enough_for_any_user(
    base: Path, as_nobody: tuple[list[str], dict[str, str]]
) -> None:
    home = base / "home"
    home.mkdir()
    shutil.chown(home, "nobody")
    log = base / "torkd.log"
    command, environment = as_nobody
    environment = {**environment, "HOME": str(home)}
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*command, "-m", "torkd", "run", "standalone"],
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        wait_until(lambda: "serving on http://localhost:" in log.read_text(), timeout=30, describe=log.read_text)
        endpoint = log.read_text().partition("serving on ")[2].split()[0]
        submitted = subprocess.run(
            [sys.executable, "-m", "torkctl", "submit", "--follow", "-e", endpoint, str(HELLO)],
            env=environment | {"HOME": str(base)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert submitted.returncode == 0, submitted.stderr
        assert "Hello, world!" in submitted.stdout
        assert (home / ".local" / "share" / "tork" / "postgres").is_dir()
    finally:
        process.terminate()
        assert process.wait(timeout=40) == 0
    assert "Traceback" not in log.read_text()


def test_the_schema_is_made_by_the_migration_and_only_once(base: Path) -> None:
    with Daemon() as daemon:
        again = run_torkd(base, {"TORK_DATA_DIR": daemon.environment["TORK_DATA_DIR"]}, "migration")
    assert (again.returncode, again.stdout) == (0, "the schema is up to date\n")


def test_health_and_config_speak_of_the_daemon(daemon: Daemon, base: Path) -> None:
    up = run_torkd(base, {"TORK_CLIENT_ENDPOINT": daemon.endpoint}, "health")
    assert (up.returncode, up.stdout.splitlines()[0]) == (0, "Status: UP")
    assert up.stdout.splitlines()[1:] == ["  datastore: UP", "  broker: UP", "  runtime: UP"]
    down = run_torkd(base, {"TORK_CLIENT_ENDPOINT": "http://127.0.0.1:9"}, "health")
    assert down.returncode == 1
    assert len(down.stderr.splitlines()) == 1
    shown = run_torkd(base, {"TORK_MIDDLEWARE_WEBHOOK_SECRET": "hush-hush"}, "config")
    assert "worker.drain" in shown.stdout
    assert "hush-hush" not in shown.stdout
