"""What a command imports before it needs it is what every start pays for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.architecture.tree import ROOT

SERVER_SIDE = ["argon2", "falcon", "gunicorn", "psycopg", "psycopg_pool", "pika", "docker", "structlog", "torkd"]
NOT_YET = ["textual", "pika", "docker", "watchfiles", "cryptography", "stamina", "prometheus_client", "opentelemetry"]
FORBIDDEN = {
    "torkctl --version": [*SERVER_SIDE, *NOT_YET, "httpx2", "rich.table", "yaml", "msgspec", "tork.definition"],
    "torkctl submit --help": [*SERVER_SIDE, *NOT_YET, "httpx2", "yaml", "msgspec"],
    "torkctl watch --help": [*SERVER_SIDE, *NOT_YET, "httpx2", "yaml", "msgspec", "asyncio"],
    "torkctl validate examples/hello.yaml": [*SERVER_SIDE, *NOT_YET, "httpx2"],
    "torkctl schema": [*SERVER_SIDE, *NOT_YET, "httpx2"],
    "torkctl health -e http://127.0.0.1:9 --retry-for 1ms": [*SERVER_SIDE, *NOT_YET, "tork.definition"],
    "torkd --version": [*NOT_YET, "falcon", "gunicorn", "psycopg", "httpx2", "typer", "torkctl"],
    "torkd config": [*NOT_YET, "falcon", "gunicorn", "psycopg", "httpx2", "typer", "torkctl"],
    "torkd health": [*NOT_YET, "falcon", "gunicorn", "psycopg", "httpx2", "typer", "torkctl"],
}
PROBE = """
import atexit, json, runpy, sys
program, *arguments = {words!r}
sys.argv = [program, *arguments]
atexit.register(lambda: sys.__stderr__.write("\\n" + json.dumps(sorted(sys.modules))))
runpy.run_module(program, run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(("command", "forbidden"), FORBIDDEN.items(), ids=FORBIDDEN)
def test_a_command_imports_only_what_it_needs(command: str, forbidden: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROBE.format(words=command.split())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    loaded = set(json.loads(ran.stderr.splitlines()[-1]))
    assert {name for name in forbidden if name in loaded} == set()
    assert loaded & {"torkctl.cli", "torkd.extensions"}, "the command did not run"


def test_the_daemon_itself_imports_nothing_of_what_is_not_there_yet() -> None:
    assert imported("torkd.modes.standalone, torkd.modes.coordinator", [*NOT_YET, "httpx2", "typer"]) == []


def test_a_worker_imports_no_database_driver() -> None:
    drivers = ["psycopg", "psycopg_pool", "torkd.datastore.postgres", "torkd.coordinator"]
    assert imported("torkd.modes.worker", drivers) == []


def imported(modules: str, names: list[str]) -> list[str]:
    """Those of the names that importing these modules loads."""
    code = f"import json, sys, {modules}; print(json.dumps([name for name in {names!r} if name in sys.modules]))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    found: list[str] = json.loads(ran.stdout)
    return found


def test_the_package_alone_imports_nothing_of_the_engine() -> None:
    assert imported("torkd", [*SERVER_SIDE[:-1], *NOT_YET, "msgspec", "torkd.embedding"]) == []
