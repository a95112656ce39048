"""What GitHub and GitLab are told of jobs, and nothing that a job could make them obey."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.build_servers import EVIL
from tests.support.fake_api import FakeApi
from tests.support.torkctl_runs import Torkctl, meanwhile
from tests.support.waiting import wait_until
from torkctl.client import Api, Patience, Transport
from torkctl.pipeline.cases import Case, Ending, JobCases
from torkctl.pipeline.summary import inline, summary_text
from torkctl.pipeline.tails import Tails
from torkctl.settings import Credentials
from torkctl.workflow_commands import defused, defused_json

JOB = "a" * 32


def _runner(text: str) -> list[tuple[str, str]]:
    """The commands that a runner of GitHub obeys in the text, as (name, data)."""
    known = {"error", "warning", "add-mask", "set-output", "save-state", "group", "endgroup", "debug", "stop-commands"}
    obeyed: list[tuple[str, str]] = []
    stopped = ""
    for line in re.split(r"\r\n|\r|\n", text):
        found = re.match(r"::([^ :]+)(?: .*?)?::(.*)", line.lstrip())
        old = re.search(r"##\[([^ \]]+)[^\]]*\](.*)", line)
        name, data = found.groups() if found else old.groups() if old else ("", "")
        if stopped:
            stopped = "" if found and name == stopped else stopped
        elif name in known:
            obeyed.append((name, data))
            stopped = data if name == "stop-commands" else ""
    assert not stopped, "commands are stopped for the rest of the step"
    return obeyed


def test_github_gets_a_group_annotations_and_a_summary_and_obeys_no_log(
    failing: FakeApi, torkctl: Torkctl, job_file: str, on_github: Path
) -> None:
    ran = torkctl("submit", "--follow", job_file)
    assert ran.code == 1
    names = [name for name, _ in _runner(ran.out)]
    assert names == ["group", "stop-commands", "endgroup", "error"]
    assert "::add-mask::x" in ran.out, "the log is as it was printed"
    [told] = [data for name, data in _runner(ran.out) if name == "error"]
    assert told.startswith("exit code 3: 1 < 2%0Ared ]]>")
    assert "title=task 'test' FAILED" in ran.out
    assert _runner(ran.err) == []
    summary = on_github.read_text()
    assert "| ❌ | test | FAILED (attempt 2) |" in summary
    assert "<pre>red ]]&gt; &lt;&amp;&gt;" in summary


def test_github_gets_the_end_of_the_log_of_what_failed_when_nobody_followed(
    failing: FakeApi, torkctl: Torkctl, job_file: str, on_github: Path
) -> None:
    ran = torkctl("submit", "--wait", "-o", "json", job_file)
    assert json.loads(ran.out)["state"] == "FAILED"
    assert [name for name, _ in _runner(ran.err)] == ["group", "stop-commands", "endgroup", "error"]
    assert "::set-output name=a::b" in ran.err


@pytest.mark.parametrize(
    "arguments", ["logs", "logs -f", "logs -o jsonl", "logs -o json", "get", "get -o json", "list", "wait", "wait -q"]
)
def test_no_command_makes_a_runner_obey_a_job(
    fake_api: FakeApi, torkctl: Torkctl, on_github: Path, arguments: str
) -> None:
    evil = "::add-mask::name ##[error]x"
    fake_api.add_job(JOB, name=evil)
    fake_api.add_task(JOB, "t1", name=evil, state="FAILED", error=f"{EVIL}\r::debug::x")
    fake_api.log(JOB, EVIL + "a\r::debug::y\n")
    fake_api.end(JOB, "FAILED", error=EVIL)
    verb, *flags = arguments.split()
    ran = torkctl(verb, *([] if verb == "list" else [JOB]), *flags)
    obeyed = _runner(ran.out) + _runner(ran.err)
    assert {name for name, _ in obeyed} <= (
        {"error", "group", "stop-commands", "endgroup"} if verb == "wait" else set()
    )
    if "json" in arguments and verb == "logs":
        parts = [json.loads(line) for line in ran.out.splitlines()] if "jsonl" in arguments else json.loads(ran.out)
        assert parts[0]["contents"].startswith(EVIL), "the same data"


@given(st.text(st.sampled_from(":#[] \r\n\tab\u2003")))
@example("\ta")
@example("\u2003a")
@example("x\r a")
@example("x b")
def test_no_text_is_obeyed(text: str) -> None:
    shown = defused(text.replace("a", "::error::x").replace("b", "##[error]"))
    assert _runner(shown) == []
    document = json.dumps(text.replace("b", "##[error]"))
    assert json.loads(defused_json(document)) == json.loads(document)
    assert _runner(defused_json(document)) == []


def test_an_interrupted_log_gives_commands_back(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str, on_github: Path
) -> None:
    def interrupt() -> None:
        wait_until(lambda: fake_api.requests_to("/log/stream"))
        os.kill(os.getpid(), signal.SIGINT)

    with meanwhile(interrupt):
        ran = torkctl("submit", "--follow", job_file)
    assert ran.code == 130
    assert [name for name, _ in _runner(ran.out)] == ["group", "stop-commands", "endgroup", "error"]


def test_gitlab_gets_sections(
    failing: FakeApi, torkctl: Torkctl, job_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITLAB_CI", "true")
    for arguments, stream in ((["--follow"], "out"), (["--wait"], "err")):
        text = getattr(torkctl("submit", *arguments, job_file), stream)
        begun = re.findall(r"\x1b\[0Ksection_start:\d+:([\w.-]+)\r\x1b\[0K.+\n", text)
        assert re.findall(r"\x1b\[0Ksection_end:\d+:([\w.-]+)\r\x1b\[0K", text) == begun
        assert len(begun) == 1
        assert "red ]]> <&>" in text or "\x1b[31mred" in text


@pytest.mark.parametrize("choice", ["none", "gitlab"])
def test_the_choice_is_stronger_than_the_surroundings(
    failing: FakeApi, torkctl: Torkctl, job_file: str, on_github: Path, choice: str
) -> None:
    ran = torkctl("submit", "--follow", "--ci", choice, job_file)
    assert ("section_start" in ran.out) is (choice == "gitlab")
    assert _runner(ran.out) == [], "what a runner reads is still kept from it"
    assert not on_github.exists()


def test_a_server_that_is_not_known_is_refused(torkctl: Torkctl, job_file: str) -> None:
    ran = torkctl("submit", "--ci", "jenkins", job_file)
    assert ran.code == 2
    assert "'jenkins' is not known (right would be auto, github, gitlab or none)" in ran.err


def test_a_summary_that_can_not_be_written_is_only_a_warning(
    failing: FakeApi, torkctl: Torkctl, job_file: str, on_github: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "/proc/none/summary")
    ran = torkctl("submit", "--wait", job_file)
    assert ran.code == 1
    assert "warning: GITHUB_STEP_SUMMARY: /proc/none/summary can't be written: No such file" in ran.err


def test_a_summary_of_many_jobs_is_no_longer_than_its_page_takes() -> None:
    cases = [Case(name="a" * 40, ending=Ending.FAILED, state="FAILED", message="-" * 200)] * 20
    jobs = [JobCases(job_id=JOB, name=f"{number}", state="COMPLETED") for number in range(5_000)]
    jobs += [JobCases(job_id=JOB, name=f"bad {number}", state="FAILED", cases=cases) for number in range(9)]
    text = summary_text(
        jobs, Tails(api=Api(Transport("", Credentials()), lambda: Patience(window_seconds=0)), with_passed=False)
    )
    assert len(text.encode()) < 1_000_000
    shown = text.count("### ")
    assert 9 < shown < 5_009
    assert text.endswith(f"… and {5_009 - shown} more jobs\n\n")
    assert re.findall("### (0|bad 0|bad 8):", text) == ["0", "bad 0", "bad 8"], "what went wrong, and in its order"


@given(st.text(max_size=40))
def test_names_are_only_text_in_the_summary(name: str) -> None:
    assert not re.search(r"[|`*_<>\[\]@\n]|&(?!amp;|lt;|gt;|#\d+;)", inline(name))


def test_the_first_event_is_the_submission(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    fake_api.on_submit = lambda job_id: fake_api.end(job_id)
    events = [json.loads(line) for line in torkctl("submit", "-f", "-o", "jsonl", job_file).out.splitlines()]
    assert [event["event"] for event in events][:1] == ["submitted"]
    assert events[0]["data"]["id"] == events[0]["jobId"] == events[-1]["jobId"]
    assert events[-1]["event"] == "end"
