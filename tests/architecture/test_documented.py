"""What can be asked of the programs is in the docs: every command with its options, every route, every setting."""

from __future__ import annotations

import re
from typing import Any

import falcon.inspect
import pytest
import typer.main

from tests.architecture.tree import ROOT
from tests.support.api_fakes import FakeCommands, FakeReading
from torkctl.cli import _app
from torkctl.diagnostics import ExitCode
from torkd.api.app import ApiDependencies, create_app
from torkd.api.streams import Doorbell, StreamHub
from torkd.broker.memory import MemoryBroker
from torkd.settings import settings_table

DOCS = ROOT / "docs"
TORKCTL = (DOCS / "torkctl.md").read_text(encoding="utf-8")
TORKD = (DOCS / "torkd.md").read_text(encoding="utf-8")
ROOT_COMMAND: Any = typer.main.get_command(_app())


def routes() -> list[str]:
    """`METHOD /path` of everything the API answers."""
    broker = MemoryBroker()
    reading = FakeReading(broker)
    streams = StreamHub(Doorbell(broker, reading.versions_of))
    try:
        app = create_app(
            ApiDependencies(
                version="x",
                reading=reading,
                commands=FakeCommands(reading),
                broker=broker,
                streams=streams,
                indicators={},
            )
        )
        return sorted(
            f"{method.method} {re.sub(r'{.*?}', '{}', route.path)}"
            for route in falcon.inspect.inspect_app(app).routes
            for method in route.methods
            if method.method not in {"OPTIONS", "WEBSOCKET"} and not method.internal
        )
    finally:
        streams.close()


@pytest.mark.parametrize("route", routes())
def test_a_route_is_in_the_docs(route: str) -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    documented = {re.sub(r"{.*?}", "{}", found) for found in re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`?]*)", page)}
    assert route in documented


def test_no_route_is_documented_that_is_not_there() -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `((?:GET|POST|PUT|DELETE) /[^`?]*)`", page, re.MULTILINE)
    assert {re.sub(r"{.*?}", "{}", row) for row in rows} == set(routes())


def options(command: Any) -> list[str]:
    """Its long options, the last of which is the one to write about."""
    long = [[name for name in option.opts if name.startswith("--")] for option in command.params]
    return [names[-1] for names in long if names]


@pytest.mark.parametrize("name", sorted(ROOT_COMMAND.commands))
def test_a_command_is_in_the_docs_with_all_of_its_options(name: str) -> None:
    assert re.search(rf"^### .*`torkctl {name}\b", TORKCTL, re.MULTILINE)
    command = ROOT_COMMAND.commands[name]
    missing = [option for option in options(command) if option != "--help" and f"{option}" not in TORKCTL]
    assert missing == []


def test_every_global_option_is_in_the_docs() -> None:
    assert [option for option in options(ROOT_COMMAND) if option not in TORKCTL and option != "--version"] == []


def test_every_exit_code_is_in_the_docs() -> None:
    table = TORKCTL.partition("## Exit codes")[2]
    assert [code.value for code in ExitCode if f"| {code.value} |" not in table] == []


@pytest.mark.parametrize("command", ["run standalone", "health", "config", "migration"])
def test_a_command_of_the_daemon_is_in_the_docs(command: str) -> None:
    assert f"torkd {command}" in TORKD


def test_every_setting_is_in_the_docs() -> None:
    assert (DOCS / "configuration.md").read_text(encoding="utf-8").endswith(settings_table())
