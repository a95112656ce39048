"""`docs/api-examples.md` is typed from its top to its end against a daemon: every command has to be answered as it is shown.

What is shown and what comes are also held to the OpenAPI document, and no operation of that may be without an example.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.support import lettered_daemon
from tests.support.daemon import Daemon
from tests.support.page_examples import (
    SHOWN_PLACE,
    Example,
    differences,
    events_of,
    examples_of,
    with_names,
    without_more,
)
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until

pytestmark = pytest.mark.postgres

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "api-examples.md").read_text(encoding="utf-8")
EXAMPLES = list(examples_of(PAGE))
SHOWN_HOOK = "localhost:9000"
TRIGGER = {"name": "nightly backup", "tasks": [{"name": "dump", "run": "true"}]}
"""Submitted while the changes of all jobs are followed, which otherwise would be silent."""
DATA = {"log": "TaskLogPart", "job": "JobSummary"}
"""Schemas of what events carry, by event."""
WITHIN = 15.0


@dataclass
class Answer:
    """What really came."""

    status: int = 0
    media: str = ""
    text: str = ""
    wrong: list[str] = field(default_factory=lambda: ["it was not asked"])


class Reader:
    """Somebody who types one command after the other."""

    def __init__(self, daemon: Daemon, receiver: Receiver) -> None:
        self._daemon = daemon
        self._hook = f"127.0.0.1:{receiver.port}"
        self._names: dict[str, str] = {}
        self._heads = daemon.base / "head"
        (daemon.base / ".curlrc").write_text(f'dump-header = "{self._heads}"\nmax-time = 30\nnoproxy = "*"\n')

    def type(self, example: Example) -> Answer:
        """Once; or, where nothing changes by it, until the answer is the one that is shown or time is up."""
        answer = Answer()

        def is_as_shown() -> bool:
            learned = dict(self._names)
            answer.text = (self._follow if example.is_stream else self._run)(self._command(example), example)
            head = self._heads.read_text()
            answer.status = int(head.split(" ", 2)[1])
            answer.media = (re.findall(r"(?im)^content-type: ([^;\r\n]+)", head) or [""])[0]
            answer.wrong = self._wrong(example, answer, learned)
            if not answer.wrong:
                self._names.update(learned)
            return not answer.wrong or example.method != "GET"

        try:
            wait_until(is_as_shown, timeout=WITHIN)
        except AssertionError:
            assert answer.wrong
        return answer

    def _command(self, example: Example) -> str:
        typed = with_names(example.command, self._names).replace(SHOWN_PLACE, f"127.0.0.1:{self._daemon.port}")
        return typed.replace(SHOWN_HOOK, self._hook)

    def _start(self, command: str) -> subprocess.Popen[str]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self._daemon.base), "LANG": "C.UTF-8"}
        return subprocess.Popen(
            ["bash", "-c", f"exec {command}"], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
        )

    def _run(self, command: str, example: Example) -> str:
        with self._start(command) as typed:
            told = typed.communicate(timeout=60)[0]
        if example.status != 200:
            told, _, status = told.rstrip().rpartition("\n")
            assert status == str(example.status)
        return told.replace(self._hook, SHOWN_HOOK)

    def _follow(self, command: str, example: Example) -> str:
        """Read until all events came that are shown, or no more come."""
        told = ""
        with self._start(command) as typed:
            assert typed.stdout is not None
            try:
                for line in typed.stdout:
                    told += line
                    if line.startswith(": listening"):
                        self._daemon.submit(TRIGGER)
                    if not line.strip() and not _unseen(example, told, dict(self._names)):
                        break
            finally:
                typed.kill()
        return told

    def _wrong(self, example: Example, answer: Answer, names: dict[str, str]) -> list[str]:
        if answer.status != example.status:
            return [f"the status is {answer.status}, not {example.status}: {answer.text}"]
        if example.is_stream:
            return _unseen(example, answer.text, names)
        if example.is_json:
            return differences(json.loads(example.shown), json.loads(answer.text), names)
        return [line for line in example.shown.splitlines() if not _is_there(line, answer.text)] or (
            [f"{answer.text!r} is not shown"] if answer.text and not example.shown else []
        )


def _unseen(example: Example, told: str, names: dict[str, str]) -> list[str]:
    return differences(events_of(f"{example.shown}\n"), events_of(told), names)


def _is_there(line: str, text: str) -> bool:
    """A line that ends with … is only the beginning of one; numbers are those of where it was tried."""
    start, cut, _ = line.partition("…")
    pattern = re.sub(r"\d+(\\\.\d+)?", r"[0-9.]+", re.escape(start))
    return re.search(rf"(?m)^{pattern}{'' if cut else '$'}", text) is not None


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    settings = {"TORK_BROKER_TYPE": "lettered", "TORK_WORKER_QUEUES_DEFAULT": "4", "TZ": "Etc/UTC"}
    with Daemon(settings, command=(lettered_daemon.__file__,)) as running:
        yield running


@pytest.fixture(scope="module")
def answers(daemon: Daemon) -> dict[str, Answer]:
    """What came, by command."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    with Receiver() as receiver:
        reader = Reader(daemon, receiver)
        return {example.command: reader.type(example) for example in EXAMPLES}


@pytest.fixture(scope="module")
def document(daemon: Daemon) -> Any:
    return daemon.call("GET", "/openapi.json")


def operation_of(example: Example, document: Any) -> tuple[str, str]:
    """The method and the path template; those without a parameter come first, as they do where requests are routed."""
    fitting = [
        path
        for path in sorted(document["paths"], key=lambda path: path.count("{"))
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), example.path)
        and example.method.lower() in document["paths"][path]
    ]
    assert fitting, f"no operation is {example.method} {example.path}"
    return example.method, fitting[0]


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"{example.method}{example.path}" for example in EXAMPLES])
def test_an_example_is_answered_as_it_is_shown(
    answers: dict[str, Answer], document: Any, daemon: Daemon, example: Example
) -> None:
    answer = answers[example.command]
    assert answer.wrong == [], f"{example.title}\n{answer.text[:3000]}\n{daemon.told()[-2000:]}"
    method, path = operation_of(example, document)
    described = document["paths"][path][method.lower()]["responses"][str(example.status)]
    if not example.shown:
        assert "content" not in described
        return
    schema = described["content"][answer.media]["schema"]
    if example.is_json:
        for value in (without_more(json.loads(example.shown)), json.loads(answer.text)):
            assert problems(value, schema, document) == []
    for event in events_of(f"{example.shown}\n") + events_of(answer.text) if example.is_stream else []:
        reference = {"$ref": f"#/components/schemas/{DATA.get(event['event'], '')}"}
        assert event["event"] not in DATA or problems(event["data"], reference, document) == []


def problems(value: Any, schema: Any, document: Any) -> list[str]:
    """Where the value is not of the schema."""
    whole = jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})
    return [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in whole.iter_errors(value)]


def test_every_operation_has_an_example(document: Any) -> None:
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described - {operation_of(example, document) for example in EXAMPLES} == set()


def test_the_contents_have_every_heading_with_its_endpoint(document: Any) -> None:
    contents, _, rest = PAGE.partition("## Contents")[2].partition("\n## ")
    headings = re.findall(r"^##+ (.+)$", f"## {rest}", re.MULTILINE)
    assert re.findall(r"\[([^]]+)\]\(#", contents) == headings
    listed = re.findall(r"^- \[(.+)\]\(#.+\): `(\w+) (/.*)`$", contents, re.MULTILINE)
    shown = {(example.title, *operation_of(example, document)) for example in EXAMPLES}
    assert {(title, method, without_names(path)) for title, method, path in listed} <= {
        (title, method, without_names(path)) for title, method, path in shown
    }
    assert [title for title, _, _ in listed] == list(dict.fromkeys(example.title for example in EXAMPLES))


def without_names(path: str) -> str:
    return re.sub(r"{\w+}", "{}", path)
