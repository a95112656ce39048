"""What can be asked of the programs is in the docs: every command with its options, every route, every setting."""

from __future__ import annotations

import re
from typing import Any

import falcon.inspect
import msgspec
import pytest

from tests.architecture.tree import ROOT
from tests.support.account_fakes import FakeAccounts
from tests.support.api_fakes import FakeCommands, FakeDoctor, FakeReading
from tests.support.torkctl_tree import COMMANDS, ROOT_COMMAND
from tork.account import Account, ApiKey, AuditEntry, Role
from tork.dead_letter import DeadLetter
from tork.diagnosis import Check, Diagnosis, Repair, Treatment
from tork.job import Job, JobSummary
from tork.log import TaskLogPart
from tork.node import Node, Queue
from tork.schedule import FireTimesAnswer, ScheduledJob, ScheduledJobSummary
from tork.webhook import WebhookStatus
from torkctl.diagnostics import ExitCode
from torkd.api.app import ApiDependencies, create_app
from torkd.api.errors import _STATUS as STATUSES
from torkd.api.streams import Doorbell, StreamHub
from torkd.broker.memory import MemoryBroker
from torkd.checks import Checks
from torkd.endpoints import EndpointContext
from torkd.extensions import Extensions
from torkd.middleware import JobMiddleware, LogMiddleware, NodeMiddleware, TaskMiddleware
from torkd.settings import settings_table

DOCS = ROOT / "docs"
TORKCTL = (DOCS / "torkctl.md").read_text(encoding="utf-8")
TORKD = (DOCS / "torkd.md").read_text(encoding="utf-8")


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
                accounts=FakeAccounts(),
                commands=FakeCommands(reading),
                broker=broker,
                streams=streams,
                checks=Checks({}),
                doctor=FakeDoctor(),
            )
        )
        return sorted(
            f"{method.method} {re.sub(r'{.*?}', '{}', route.path)}"
            for route in falcon.inspect.inspect_app(app).routes
            for method in route.methods
            if method.method not in {"HEAD", "OPTIONS", "WEBSOCKET"} and not method.internal
        )
    finally:
        streams.close()


@pytest.mark.parametrize("route", routes())
def test_a_route_is_in_the_docs(route: str) -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    documented = {re.sub(r"{.*?}", "{}", found) for found in re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`?]*)", page)}
    assert route in documented


def test_every_route_has_an_example() -> None:
    """That it is answered so is for the acceptance tests; here it is noticed within seconds that one is missing."""
    page = (DOCS / "api-examples.md").read_text(encoding="utf-8")
    listed = re.findall(r"^- \[.+\]\(#.+\): `(.+)`$", page, re.MULTILINE)
    assert {re.sub(r"{.*?}", "{}", endpoint) for endpoint in listed} == set(routes())


def test_no_route_is_documented_that_is_not_there() -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `((?:GET|POST|PUT|DELETE) /[^`?]*)`", page, re.MULTILINE)
    assert {re.sub(r"{.*?}", "{}", row) for row in rows} == set(routes())


SHAPES = {
    "job summary": (JobSummary,),
    "job": (JobSummary, Job),
    "scheduled job summary": (ScheduledJobSummary,),
    "scheduled job": (ScheduledJobSummary, ScheduledJob),
    "fire times": (FireTimesAnswer,),
    "webhook status": (WebhookStatus,),
    "log part": (TaskLogPart,),
    "node": (Node,),
    "queue": (Queue,),
    "dead letter": (DeadLetter,),
    "diagnosis": (Diagnosis,),
    "check": (Check,),
    "treatment": (Treatment, Repair),
    "user": (Account,),
    "role": (Role,),
    "key": (ApiKey,),
    "audit entry": (AuditEntry,),
}


@pytest.mark.parametrize(("noun", "kinds"), SHAPES.items(), ids=SHAPES)
def test_a_shape_is_in_the_docs_with_all_of_its_fields(noun: str, kinds: tuple[type[msgspec.Struct], ...]) -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8").partition("## Shapes")[2]
    nouns = [f"{noun} summary", noun] if noun in {"job", "scheduled job"} else [noun]
    rows = " ".join(row for name in nouns for row in re.findall(rf"^\| {name} \| (.*)$", page, re.MULTILINE))
    documented = set(re.findall(r"`(\w+)`", rows))
    assert {field.encode_name for kind in kinds for field in msgspec.structs.fields(kind)} - documented == set()


@pytest.mark.parametrize("status", sorted({status for _, status in STATUSES} | {401, 403, 405, 408, 413, 429, 500}))
def test_a_status_of_an_error_is_in_the_docs(status: int) -> None:
    assert f"| {status} | " in (DOCS / "api.md").read_text(encoding="utf-8")


def options(command: Any) -> list[str]:
    """Its long options, the last of which is the one to write about."""
    long = [[name for name in option.opts if name.startswith("--")] for option in command.params]
    return [names[-1] for names in long if names]


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_a_command_is_in_the_docs_with_all_of_its_options(path: str) -> None:
    noun, *verbs = path.split()
    chapter = re.search(rf"^### [^\n]*`torkctl {noun}\b.*?(?=^##|\Z)", TORKCTL, re.MULTILINE | re.DOTALL)
    assert chapter
    assert not verbs or re.search(rf"`({noun} )?{' '.join(verbs)}\b", chapter[0])
    command = COMMANDS[path]
    missing = [option for option in options(command) if option != "--help" and f"{option}" not in TORKCTL]
    assert missing == []


def test_every_global_option_is_in_the_docs() -> None:
    assert [option for option in options(ROOT_COMMAND) if option not in TORKCTL and option != "--version"] == []


def test_every_exit_code_is_in_the_docs() -> None:
    table = TORKCTL.partition("## Exit codes")[2]
    assert [code.value for code in ExitCode if f"| {code.value} |" not in table] == []


@pytest.mark.parametrize(
    "command", ["run standalone", "doctor", "rekey", "health", "config", "migration", "user", "role", "key"]
)
def test_a_command_of_the_daemon_is_in_the_docs(command: str) -> None:
    assert f"torkd {command}" in TORKD


def test_every_setting_is_in_the_docs() -> None:
    assert (DOCS / "configuration.md").read_text(encoding="utf-8").endswith(settings_table())


def test_the_page_on_architecture_names_every_folder_and_no_other() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `([\w/.]+)` \|", page.partition("## Where things are")[2], re.MULTILINE))
    assert {row for row in rows if not (ROOT / row).exists()} == set()
    packages = {f"torkd/{path.name}/" for path in (ROOT / "torkd").iterdir() if (path / "__init__.py").exists()}
    assert packages <= rows


def test_the_page_on_extensions_names_everything_that_can_be_registered_and_every_method_of_middleware() -> None:
    page = (DOCS / "extensions.md").read_text(encoding="utf-8")
    names = {name for name in dir(Extensions) if name.startswith("register_")}
    for port in (JobMiddleware, TaskMiddleware, NodeMiddleware, LogMiddleware):
        names |= {name for name in vars(port) if not name.startswith("_")}
    assert {name for name in names if f"{name}(" not in page} == set()
    table = page.partition("| `context.` |")[2].partition("\n\n")[0]
    told = set(re.findall(r"`(\w+)", table))
    assert {name for name in vars(EndpointContext) if not name.startswith("_")} <= told
