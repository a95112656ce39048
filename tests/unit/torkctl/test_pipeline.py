"""What build servers are told of jobs: JUnit files, annotations, summaries, and nothing that a job could make them obey."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.fake_api import FakeApi
from tests.support.junit_files import cases, read_junit, text_of
from tests.support.torkctl_runs import Torkctl, meanwhile
from tests.support.waiting import wait_until
from tork.job import JobDefinition
from tork.task import TaskDefinition
from torkctl.pipeline.cases import Case, Ending, JobCases
from torkctl.pipeline.junit import junit_text, write_junit
from torkctl.pipeline.plain_text import last_lines, plain
from torkctl.pipeline.submission_key import default_key
from torkctl.pipeline.summary import inline
from torkctl.workflow_commands import defused, defused_json

JOB = "a" * 32
STEP = "11111111-2222-3333-4444-555555555555"
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "o/r",
    "GITHUB_RUN_ID": "7",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_JOB": "build",
    "GITHUB_ACTION": "__run",
    "GITHUB_ENV": f"/home/runner/work/_temp/_runner_file_commands/set_env_{STEP}",
}
GITLAB = {"GITLAB_CI": "true", "CI_SERVER_URL": "https://gitlab.com", "CI_PIPELINE_ID": "5", "CI_JOB_ID": "77"}
EVIL = "::add-mask::x\n  ::set-output name=a::b\nfine ##[error]boo\n"


def _fail(fake_api: FakeApi, job_id: str) -> None:
    """A job whose second task fails after a retry; the third never runs."""
    tasks = [{"name": "fetch", "run": "true"}, {"name": "test", "run": "x"}, {"name": "deploy", "run": "y"}]
    with fake_api.changed:
        fake_api.jobs[job_id]["tasks"] = tasks
        ended: dict[str, Any] = {"completedAt": "2026-01-02T03:04:07.5Z"}
        failed: dict[str, Any] = {
            "position": 2,
            "name": "test",
            "state": "FAILED",
            "error": "exit code 3: 1 < 2\x1b[31m\x00",
        }
        fake_api.add_task(job_id, "t1", name="fetch", state="COMPLETED", **ended)
        fake_api.add_task(job_id, "t2", retry={"limit": 1, "attempts": 0}, **failed)
        fake_api.add_task(job_id, "t3", retry={"limit": 1, "attempts": 1}, **failed)
        fake_api.log(job_id, "fetched\n", task_id="t1")
        fake_api.log(job_id, "\x1b[31mred\x1b[0m ]]> <&>\x00\n" + EVIL, task_id="t3")
        fake_api.end(job_id, "FAILED", error="exit code 3")


@pytest.fixture
def failing(fake_api: FakeApi) -> FakeApi:
    fake_api.on_submit = lambda job_id: _fail(fake_api, job_id)
    return fake_api


@pytest.fixture
def on_github(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The step's summary."""
    for name, value in GITHUB.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    return tmp_path / "summary.md"


def test_a_junit_file_has_a_case_a_task_with_what_it_came_to(
    failing: FakeApi, torkctl: Torkctl, job_file: str, tmp_path: Path
) -> None:
    assert torkctl("submit", "--junit", "out.xml", job_file).code == 1
    root = read_junit(tmp_path / "out.xml")
    assert cases(root) == {"fetch": "passed", "test": "failure", "deploy": "skipped"}
    assert [case.get("time") for case in root.iter("testcase")] == ["1.500", "0.000", "0.000"]
    failure = text_of(root, "test", "failure")
    assert "exit code 3: 1 < 2" in failure
    assert "red ]]> <&>" in failure
    assert "attempt 1 of 2 FAILED" in text_of(root, "test", "system-out")
    assert "fetched" in text_of(root, "fetch", "system-out")
    assert (tmp_path / "out.xml").stat().st_mode & 0o444 == 0o444
    assert not list(tmp_path.glob(".out.xml*"))


def test_children_and_sub_jobs_are_cases_and_their_parents_are_not(
    fake_api: FakeApi, torkctl: Torkctl, tmp_path: Path
) -> None:
    inner = fake_api.add_job("b" * 32, name="inner")
    fake_api.add_job(JOB)
    fake_api.add_task(JOB, "p", name="all", state="FAILED", error="a child failed", parallel={"tasks": []})
    for number, state in enumerate(["COMPLETED", "FAILED", "CANCELLED"]):
        fake_api.add_task(JOB, f"c{number}", parentId="p", name="one", state=state, error="why" * (number == 1))
    fake_api.add_task(JOB, "s", name="package", position=2, state="COMPLETED", subjob={"id": inner})
    fake_api.add_task(inner, "i", name="sign", state="SKIPPED")
    fake_api.add_task(JOB, "e", name="none", position=3, state="FAILED", error="no list", each={"size": 0})
    fake_api.end(inner)
    fake_api.end(JOB, "FAILED", error="a child failed")
    assert torkctl("wait", "--junit", "out.xml", JOB).code == 1
    assert cases(read_junit(tmp_path / "out.xml")) == {
        "all/one (1)": "passed",
        "all/one (2)": "failure",
        "all/one (3)": "skipped",
        "package/sign": "skipped",
        "none": "failure",
    }


@pytest.mark.parametrize(
    ("state", "more", "kind"),
    [("CANCELLED", {}, "error"), ("FAILED", {"error": "no output"}, "failure"), ("COMPLETED", {}, "passed")],
)
def test_a_job_whose_tasks_do_not_tell_its_end_is_a_case_itself(
    fake_api: FakeApi, torkctl: Torkctl, tmp_path: Path, state: str, more: dict[str, str], kind: str
) -> None:
    fake_api.add_job(JOB, tasks=[])
    fake_api.end(JOB, state, **more)
    torkctl("wait", "--junit", "out.xml", JOB)
    assert cases(read_junit(tmp_path / "out.xml")) == {"(job)": kind}


def test_jobs_of_one_wait_are_suites_of_one_file(fake_api: FakeApi, torkctl: Torkctl, tmp_path: Path) -> None:
    for job_id in (JOB, "b" * 32):
        fake_api.end(fake_api.add_job(job_id))
    assert torkctl("wait", "--junit", "out.xml", JOB, "b" * 32).code == 0
    assert [suite.get("name") for suite in read_junit(tmp_path / "out.xml")] == ["etl aaaaaaaa", "etl bbbbbbbb"]


def test_the_file_is_there_when_time_is_up(fake_api: FakeApi, torkctl: Torkctl, tmp_path: Path) -> None:
    fake_api.add_task(fake_api.add_job(JOB), "t1", name="build")
    assert torkctl("wait", "--timeout", "50ms", "--junit", "out.xml", JOB).code == 124
    root = read_junit(tmp_path / "out.xml")
    assert cases(root) == {"build": "skipped", "(job)": "error"}
    assert "time was up" in text_of(root, "(job)", "error")


def test_the_file_is_there_when_the_server_is_not(fake_api: FakeApi, torkctl: Torkctl, tmp_path: Path) -> None:
    fake_api.add_job(JOB)

    def go_away() -> None:
        wait_until(lambda: fake_api.requests_to("/events"))
        fake_api.stop()

    with meanwhile(go_away):
        assert torkctl("wait", "--retry-for", "100ms", "--junit", "out.xml", JOB).code == 5
    root = read_junit(tmp_path / "out.xml")
    assert "unknown" in text_of(root, "(job)", "error")
    assert cases(root) == {"(job)": "error"}
    fake_api.start()


@pytest.mark.parametrize("arguments", [["--wait"], ["--follow"], ["--cancel-on-interrupt"]], ids=" ".join)
def test_the_file_is_there_after_an_interrupt_and_before_it(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str, tmp_path: Path, arguments: list[str]
) -> None:
    path = tmp_path / "out.xml"
    before: list[str] = []

    def interrupt() -> None:
        wait_until(lambda: fake_api.requests_to("/events"))
        before.append(text_of(read_junit(path), "(job)", "error"))
        os.kill(os.getpid(), signal.SIGINT)

    fake_api.on_submit = lambda job_id: fake_api.add_task(job_id, "t1", name="build")
    with meanwhile(interrupt):
        assert torkctl("submit", *arguments, "--junit", "out.xml", job_file).code == 130
    assert "torkctl was killed" in before[0], "what stays after kill -9"
    root = read_junit(path)
    assert "interrupted" in text_of(root, "(job)", "error")
    assert cases(root)["build"] == "skipped"


@pytest.mark.parametrize(("target", "words"), [("no/such/out.xml", "no directory no/such"), (".", "is not a file")])
def test_a_file_that_can_not_be_written_is_refused_before_anything_is_sent(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str, target: str, words: str
) -> None:
    ran = torkctl("submit", "--junit", target, job_file)
    assert ran.code == 2
    assert words in ran.err
    assert not fake_api.requests_to("/jobs", "POST")


def test_what_could_not_be_submitted_takes_the_place_of_an_older_file(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str, tmp_path: Path, on_github: Path
) -> None:
    path = tmp_path / "out.xml"
    path.write_text("from before")
    (tmp_path / "bad.yaml").write_text("name: x\ntasks:\n  - nam: y\n")
    ran = torkctl("submit", "--junit", "out.xml", job_file, "bad.yaml")
    assert ran.code == 2
    assert "::error file=bad.yaml,line=3,col=5::tasks[0]: unknown key 'nam'" in ran.err
    root = read_junit(path)
    assert [suite.get("name") for suite in root] == [job_file, "bad.yaml"]
    assert all(
        "bad.yaml:3:5: tasks[0]: unknown key 'nam'" in (found.get("message") or "") for found in root.iter("error")
    )
    fake_api.stop()
    for arguments in (["submit", job_file], ["wait", JOB[:8]]):
        path.unlink()
        assert torkctl(*arguments, "--retry-for", "0s", "--junit", "out.xml").code == 5
        assert "can't be reached" in text_of(read_junit(path), "(job)", "error")
    fake_api.start()


def test_a_file_that_can_not_be_written_at_the_end_is_told_and_changes_no_code(
    fake_api: FakeApi, torkctl: Torkctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_api.end(fake_api.add_job(JOB))
    monkeypatch.setattr(os, "access", lambda *_: True)
    (tmp_path / "d").mkdir()
    monkeypatch.setattr("tempfile.mkstemp", lambda **_: os.open("/proc/none", os.O_RDONLY))
    ran = torkctl("wait", "--junit", "d/out.xml", JOB)
    assert ran.code == 0
    assert "error: --junit d/out.xml: can't be written: No such file" in ran.err


@given(st.text(st.characters(exclude_categories=())), st.text())
def test_any_text_makes_a_valid_document(name: str, message: str) -> None:
    from xml.etree import ElementTree

    case = Case(name=name, ending=Ending.FAILED, state="FAILED", message=message)
    text = junit_text([JobCases(job_id=JOB, name=name, state="FAILED", cases=[case])])
    assert ElementTree.fromstring(text.encode()).find("testsuite/testcase/failure") is not None


def test_half_a_file_never_takes_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.xml"
    path.write_text("before")

    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("torkctl.pipeline.junit.junit_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_junit(path, [])
    assert path.read_text() == "before"
    assert {found.name for found in tmp_path.iterdir()} == {"home", "out.xml"}


def test_tails_are_bounded_and_say_what_they_leave_out() -> None:
    assert last_lines("a\nb\n", 2, 100) == "a\nb"
    assert last_lines("a\nb\nc\n", 2, 100) == "[only the end of the log]\nb\nc"
    assert last_lines("x" * 50 + "\nyy\n", 9, 10) == "[only the end of the log]\nyy"
    assert last_lines("x" * 50, 9, 10) == "[only the end of the log]\n" + "x" * 10
    assert last_lines("", 9, 10) == ""
    assert plain("\x1b[1;31mred\x1b[0m\x1b]8;;http://x\x07link\x1b]8;;\x07\x08 a\r\nb\rc") == "redlink a\nb\nc"


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


@given(st.text(max_size=40))
def test_names_are_only_text_in_the_summary(name: str) -> None:
    assert not re.search(r"[|`*_<>\[\]@\n]|&(?!amp;|lt;|gt;|#\d+;)", inline(name))


def test_the_first_event_is_the_submission(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    fake_api.on_submit = lambda job_id: fake_api.end(job_id)
    events = [json.loads(line) for line in torkctl("submit", "-f", "-o", "jsonl", job_file).out.splitlines()]
    assert [event["event"] for event in events][:1] == ["submitted"]
    assert events[0]["data"]["id"] == events[0]["jobId"] == events[-1]["jobId"]
    assert events[-1]["event"] == "end"


def _definition(**more: object) -> JobDefinition:
    return JobDefinition(name="etl", tasks=[TaskDefinition(name="a", run="b")], **more)  # type: ignore[arg-type] # builder


@pytest.mark.parametrize(
    "change",
    [
        {"GITHUB_RUN_ID": "8"},
        {"GITHUB_RUN_ATTEMPT": "2"},
        {"GITHUB_JOB": "test"},
        {"GITHUB_ACTION": "__run_2"},
        {"GITHUB_REPOSITORY": "o/fork"},
        {"GITHUB_ENV": f"/tmp/set_env_{STEP[:-1]}6"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_step_has_another_key(change: dict[str, str]) -> None:
    key = default_key(_definition(), 0, GITHUB)
    assert key == default_key(_definition(), 0, GITHUB)
    assert key != default_key(_definition(), 0, {**GITHUB, **change})


@pytest.mark.parametrize(
    ("environ", "leg"),
    [
        (GITLAB, {"CI_NODE_INDEX": "2"}),
        (GITLAB, {"CI_JOB_ID": "78"}),
        ({"BUILDKITE": "true", "BUILDKITE_BUILD_ID": "b", "BUILDKITE_JOB_ID": "j"}, {"BUILDKITE_JOB_ID": "k"}),
        ({"CIRCLECI": "true", "CIRCLE_WORKFLOW_ID": "w", "CIRCLE_BUILD_NUM": "3"}, {"CIRCLE_NODE_INDEX": "1"}),
    ],
)
def test_another_leg_has_another_key(environ: dict[str, str], leg: dict[str, str]) -> None:
    key = default_key(_definition(), 0, environ)
    assert key.startswith("ci-")
    assert key != default_key(_definition(), 0, {**environ, **leg})
    assert key != default_key(_definition(inputs={"a": "b"}), 0, environ)
    assert key != default_key(_definition(tags=["x"]), 0, environ)
    assert key != default_key(_definition(), 1, environ)
    assert key == default_key(_definition(secrets={"a": "b"}), 0, environ)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"CI": "true"},
        {"JENKINS_URL": "http://j", "BUILD_TAG": "jenkins-x-1"},
        {**GITHUB, "GITHUB_ENV": "/var/run/act/workflow/envs.txt"},
        {name: value for name, value in GITHUB.items() if name != "GITHUB_RUN_ATTEMPT"},
    ],
    ids=["none", "any", "Jenkins", "a runner with one file for all steps", "a server without attempts"],
)
def test_where_a_step_that_is_run_again_can_not_be_told_there_is_no_key(environ: dict[str, str]) -> None:
    assert default_key(_definition(), 0, environ) == ""


def test_a_submission_that_is_repeated_in_a_step_is_the_same_job_and_that_is_told(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str, on_github: Path
) -> None:
    fake_api.on_submit = lambda job_id: fake_api.end(job_id)
    first = torkctl("submit", "-q", "-o", "name", job_file)
    again = torkctl("submit", "-q", "-o", "name", job_file)
    assert (again.code, again.out) == (0, first.out)
    assert first.err == ""
    assert f"was submitted before under the same key, as job {first.out.strip()}, which is COMPLETED" in again.err
    assert torkctl("submit", "-q", "-o", "name", "--tag", "x", job_file).out != first.out
    assert torkctl("submit", "-q", "-o", "name", "--ci", "none", job_file).out != first.out
    assert torkctl("submit", "-q", "-o", "name", "--idempotency-key", "k", job_file).out != first.out
    both = torkctl("submit", "-q", "-o", "name", job_file, job_file)
    assert both.out.splitlines()[0] == first.out.strip()
    assert len(set(both.out.split())) == 2


def test_a_request_that_torkctl_itself_sends_again_is_no_surprise(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str, on_github: Path
) -> None:
    fake_api.on_submit = lambda job_id: fake_api.end(job_id)
    fake_api.fail("/jobs", "drop", method="POST", carry_out=True)
    ran = torkctl("submit", "-q", job_file)
    assert ran.code == 0
    assert "submitted before" not in ran.err
    assert len(fake_api.jobs) == 1
