"""JUnit files: a suite a job, a case a task, whatever happens to the job, the server, or torkctl."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fake_api import FakeApi
from tests.support.junit_files import cases, read_junit, text_of
from tests.support.torkctl_runs import Torkctl, meanwhile
from tests.support.waiting import wait_until
from torkctl.pipeline.cases import Case, Ending, JobCases
from torkctl.pipeline.junit import junit_text, write_junit
from torkctl.pipeline.plain_text import last_lines, plain

JOB = "a" * 32


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
