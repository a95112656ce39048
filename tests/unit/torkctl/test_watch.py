"""`torkctl watch --once` against a server that misbehaves: what is sent, what is told, and what is in the folder afterwards."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.support.fake_api import FakeApi
from tests.support.torkctl_runs import Result, Torkctl, meanwhile
from tests.support.waiting import wait_until

GOOD = "name: {}\ntasks:\n  - name: a\n    run: echo hi\n"
BAD = "name: bad\ntasks:\n  - name: a\n    imag: x\n"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """The watched folder."""
    path = tmp_path / "inbox"
    path.mkdir()
    return path


class Once:
    """Runs `watch --once` on the folder."""

    def __init__(self, torkctl: Torkctl, inbox: Path) -> None:
        self._torkctl = torkctl
        self._inbox = inbox

    def __call__(self, *arguments: str) -> Result:
        return self._torkctl("watch", "--once", "--settle", "10ms", *arguments, str(self._inbox))


@pytest.fixture
def once(torkctl: Torkctl, inbox: Path) -> Once:
    return Once(torkctl, inbox)


def posts(api: FakeApi) -> int:
    return len(api.requests_to("/jobs", "POST"))


def names(inbox: Path) -> list[str]:
    return sorted(path.name for path in inbox.iterdir() if path.name != ".torkctl")


def test_each_content_is_submitted_once_whatever_its_name(fake_api: FakeApi, once: Once, inbox: Path) -> None:
    (inbox / "a.yaml").write_text(GOOD.format("one"))
    (inbox / "b.yml").write_text(GOOD.format("two"))
    (inbox / "c.yaml").write_text(GOOD.format("one"))
    result = once()
    assert (result.code, result.err) == (0, "")
    lines = sorted(line.split(":")[0].split(None, 1) for line in result.out.splitlines())
    assert len(lines) == 3
    assert [kind for kind, _ in lines] == ["duplicate", "submitted", "submitted"]
    assert posts(fake_api) == 3, "it is the server that says so"
    assert len(fake_api.jobs) == 2
    assert names(inbox) == ["a.yaml", "b.yml", "c.yaml"]


def test_a_second_start_sends_nothing_and_without_its_memory_the_same_keys(
    fake_api: FakeApi, once: Once, inbox: Path
) -> None:
    (inbox / "a.yaml").write_text(GOOD.format("one"))
    once()
    again = once()
    assert (again.code, again.out) == (0, "")
    assert posts(fake_api) == 1
    shutil.rmtree(inbox / ".torkctl")
    once()
    sent = fake_api.requests_to("/jobs", "POST")
    assert len(sent) == 2
    assert len({seen.headers["idempotency-key"] for seen in sent}) == 1
    assert len(fake_api.jobs) == 1


def test_files_that_are_still_there_are_remembered_however_long_nobody_watched(
    fake_api: FakeApi, once: Once, inbox: Path
) -> None:
    (inbox / "a.yaml").write_text(GOOD.format("one"))
    (inbox / "b.yaml").write_text(GOOD.format("two"))
    once()
    (inbox / "b.yaml").unlink()
    entries = [path for path in (inbox / ".torkctl" / "ledger").rglob("watch-*") if path.is_file()]
    assert len(entries) == 2
    for path in entries:
        os.utime(path, (1_000, 1_000))
    assert (once().out, posts(fake_api)) == ("", 2)
    assert [path.exists() for path in entries].count(True) == 1, "what is gone is forgotten, though"


def test_an_invalid_file_has_an_error_beside_it_until_it_is_mended(fake_api: FakeApi, once: Once, inbox: Path) -> None:
    (inbox / "a.yaml").write_text(BAD)
    result = once()
    assert result.code == 2
    assert result.out.startswith("invalid     a.yaml:4:5: tasks[0]: unknown key 'imag'")
    assert (inbox / "a.yaml.error").read_text().startswith("a.yaml:4:5: tasks[0]: unknown key 'imag'")
    assert posts(fake_api) == 0
    (inbox / "a.yaml").write_text(GOOD.format("mended"))
    assert once().code == 0
    assert names(inbox) == ["a.yaml"]


@pytest.mark.parametrize("content", [b"\xff\xfea\x00", b"", b"x" * (10 * 1024 * 1024 + 5), b"a: \x00"], ids=len)
def test_what_is_no_text_or_too_large_is_invalid_too(
    fake_api: FakeApi, once: Once, inbox: Path, content: bytes
) -> None:
    (inbox / "a.yaml").write_bytes(content)
    assert once().code == 2
    assert ":1:" in (inbox / "a.yaml.error").read_text()


def test_an_error_that_can_not_be_written_is_told(fake_api: FakeApi, once: Once, inbox: Path) -> None:
    (inbox / "a.yaml").write_text(BAD)
    (inbox / "a.yaml.error").mkdir()
    result = once()
    assert result.code == 2
    assert "a.yaml.error can't be written: Is a directory" in result.err


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_what_the_server_refuses_is_written_beside(fake_api: FakeApi, once: Once, inbox: Path, status: int) -> None:
    (inbox / "a.yaml").write_text(GOOD.format("one"))
    (inbox / "b.yaml").write_text(GOOD.format("two"))
    fake_api.fail("/jobs", "status", method="POST", status=status, body=b'{"message": "not this one"}')
    assert once("--after", "delete").code == 2
    [error] = inbox.glob("*.error")
    assert "not this one" in error.read_text()
    assert names(inbox) == [error.name.removesuffix(".error"), error.name]
    assert len(fake_api.jobs) == 1, "the other one was submitted all the same"


@pytest.mark.parametrize("status", [401, 403])
def test_wrong_credentials_end_it_at_once_and_touch_nothing(
    fake_api: FakeApi, once: Once, inbox: Path, status: int
) -> None:
    (inbox / "a.yaml").write_text(GOOD.format("one"))
    fake_api.fail("/jobs", "status", status=status, body=b'{"message": "Unauthorized"}')
    result = once("--after", "delete")
    assert result.code == 6
    assert "error: the server" in result.err
    assert names(inbox) == ["a.yaml"]


def test_credentials_that_are_withdrawn_end_it_too(fake_api: FakeApi, once: Once, inbox: Path) -> None:
    (inbox / "a.yaml").write_text(GOOD.format("one"))
    fake_api.fail("/jobs", "status", method="POST", status=401, body=b"{}")
    fake_api.fail("/jobs", "pass")
    fake_api.fail("/jobs", "status", status=401, body=b"{}")
    assert once("--after", "delete").code == 6
    assert names(inbox) == ["a.yaml"]


def test_a_file_that_something_on_the_way_forbids_is_refused_alone(fake_api: FakeApi, once: Once, inbox: Path) -> None:
    (inbox / "a.yaml").write_text(GOOD.format("one"))
    (inbox / "b.yaml").write_text(GOOD.format("two"))
    fake_api.fail("/jobs", "status", method="POST", status=403, body=b"<html>blocked")
    assert once().code == 2
    assert len(list(inbox.glob("*.error"))) == 1
    assert len(fake_api.jobs) == 1


@pytest.mark.parametrize("fault", ["drop", "lost-answer", "502", "429", "404", "405"])
def test_a_server_that_does_not_answer_is_waited_for(fake_api: FakeApi, once: Once, inbox: Path, fault: str) -> None:
    (inbox / "a.yaml").write_text(GOOD.format("one"))
    if fault in {"drop", "lost-answer"}:
        fake_api.fail("/jobs", "drop", method="POST", times=1, carry_out=fault == "lost-answer")
    else:
        body = b'{"message": "no route"}'
        tries = 2 if fault in {"404", "405"} else 6  # the others are tried more than once within a second
        fake_api.fail("/jobs", "status", method="POST", status=int(fault), body=body, times=tries)
    result = once("--after", "delete", "-o", "jsonl")
    assert result.code == 0
    events = [json.loads(line)["event"] for line in result.out.splitlines()]
    assert events == ["submitted"] if fault in {"drop", "lost-answer"} else ["waiting", "submitted", "back"]
    assert len(fake_api.jobs) == 1
    assert names(inbox) == []


def test_a_file_that_the_server_fails_over_does_not_hold_up_the_others(
    fake_api: FakeApi, once: Once, inbox: Path
) -> None:
    for name in ("a", "b", "c"):
        (inbox / f"{name}.yaml").write_text(GOOD.format(name))
    fake_api.fail("/jobs", "status", method="POST", status=500, body=b'{"message": "oh"}', times=6)
    result = once("-o", "jsonl")
    assert result.code == 0
    events = [json.loads(line) for line in result.out.splitlines()]
    assert [event["event"] for event in events].count("waiting") == 1
    assert events[0]["file"] == "a.yaml"
    assert len(fake_api.jobs) == 3


def test_a_server_that_stays_away_leaves_every_file_and_an_unknown_outcome(
    fake_api: FakeApi, once: Once, inbox: Path
) -> None:
    (inbox / "a.yaml").write_text(GOOD.format("one"))
    (inbox / "b.yaml").write_text(BAD)
    fake_api.stop()
    result = once("--retry-for", "600ms", "--after", "delete")
    fake_api.start()
    assert result.code == 5
    assert "waiting     for the server: " in result.out
    assert "1 file waits for the next start" in result.err
    assert names(inbox) == ["a.yaml", "b.yaml", "b.yaml.error"], "what is invalid is told without a server"
    assert once().code == 2
    assert len(fake_api.jobs) == 1


@pytest.mark.parametrize("after", ["move", "delete"])
def test_submitted_files_are_moved_or_deleted_and_others_stay(
    fake_api: FakeApi, once: Once, inbox: Path, after: str
) -> None:
    (inbox / "a.yaml").write_text(GOOD.format("one"))
    (inbox / "copy.yaml").write_text(GOOD.format("one"))
    (inbox / "bad.yaml").write_text(BAD)
    (inbox / "readme.txt").write_text("hello")
    assert once("--after", after).code == 2
    left = ["bad.yaml", "bad.yaml.error", "readme.txt"]
    assert names(inbox) == (left if after == "delete" else [*left, "submitted"])
    if after == "move":
        assert names(inbox / "submitted") == ["a.yaml", "copy.yaml"]


def test_results_are_written_when_the_jobs_end_and_the_exit_code_is_theirs(
    fake_api: FakeApi, once: Once, inbox: Path
) -> None:
    states = iter(["COMPLETED", "FAILED"])
    fake_api.on_submit = lambda job_id: fake_api.end(job_id, next(states))
    (inbox / "a.yaml").write_text(GOOD.format("one"))
    (inbox / "b.yaml").write_text(GOOD.format("two"))
    (inbox / "c.yaml").write_text(GOOD.format("one"))
    (inbox / "a.yaml.result.json").write_text("an old one")
    result = once("--wait")
    assert result.code == 1
    found = {path.name: json.loads(path.read_text())["state"] for path in inbox.glob("*.result.json")}
    assert sorted(found) == [f"{letter}.yaml.result.json" for letter in "abc"]
    assert sorted(found.values()) in (["COMPLETED", "COMPLETED", "FAILED"], ["COMPLETED", "FAILED", "FAILED"])
    assert found["a.yaml.result.json"] == found["c.yaml.result.json"]
    assert [line.split()[0] for line in result.out.splitlines()].count("ended") == 3
    (inbox / "b.yaml.result.json").unlink()
    once("--wait")
    assert (inbox / "b.yaml.result.json").exists(), "a result that is not there any more is written again"
    assert posts(fake_api) == 3


def test_a_result_that_can_not_be_written_ends_with_an_error_and_is_written_at_the_next_start(
    fake_api: FakeApi, once: Once, inbox: Path
) -> None:
    def spoil_and_end() -> None:
        wait_until(lambda: fake_api.jobs and fake_api.requests_to(f"/jobs/{next(iter(fake_api.jobs))}"))
        (inbox / "a.yaml.result.json").mkdir()
        fake_api.end(next(iter(fake_api.jobs)))

    (inbox / "a.yaml").write_text(GOOD.format("one"))
    with meanwhile(spoil_and_end):
        result = once("--wait")
    assert result.code == 1
    assert "a.yaml.result.json can't be written: Is a directory" in result.err
    (inbox / "a.yaml.result.json").rmdir()
    assert once("--wait").code == 0
    assert json.loads((inbox / "a.yaml.result.json").read_text())["state"] == "COMPLETED"


def test_a_job_that_the_server_has_forgotten_is_told_and_not_waited_for(
    fake_api: FakeApi, once: Once, inbox: Path
) -> None:
    fake_api.on_submit = lambda job_id: fake_api.fail(f"/jobs/{job_id}", "status", status=404, body=b'{"message": "x"}')
    (inbox / "a.yaml").write_text(GOOD.format("one"))
    result = once("--wait")
    assert result.code == 4
    assert "has no job" in result.err
    assert not (inbox / "a.yaml.result.json").exists()
    assert once().code == 0


def test_with_rerun_a_file_that_was_written_again_counts_again(fake_api: FakeApi, once: Once, inbox: Path) -> None:
    path = inbox / "a.yaml"
    for moment in (1_000, 2_000):
        path.write_text(GOOD.format("one"))
        os.utime(path, (moment, moment))
        once("--rerun", "--after", "keep")
        shutil.rmtree(inbox / ".torkctl")
        once("--rerun", "--after", "keep")
    assert posts(fake_api) == 4
    assert len(fake_api.jobs) == 2, "a start without its memory is no rewriting"
    once()
    once()
    assert len(fake_api.jobs) == 3, "without --rerun the content alone counts"


def test_a_file_written_again_as_it_was_is_a_duplicate(fake_api: FakeApi, once: Once, inbox: Path) -> None:
    path = inbox / "a.yaml"
    path.write_text(GOOD.format("one"))
    once()
    os.utime(path, (1_000, 1_000))
    assert once().out.startswith("duplicate   a.yaml: has the content of job ")
    assert len(fake_api.jobs) == 1
    assert (once().out, posts(fake_api)) == ("", 2), "that is remembered, too"


@pytest.mark.parametrize("is_remembered", [True, False])
def test_content_whose_job_was_removed_is_a_duplicate_too(
    fake_api: FakeApi, once: Once, inbox: Path, is_remembered: bool
) -> None:
    path = inbox / "a.yaml"
    path.write_text(GOOD.format("one"))
    once()
    os.utime(path, (1_000, 1_000))
    if not is_remembered:
        shutil.rmtree(inbox / ".torkctl")
    fake_api.fail("/jobs", "status", method="POST", status=410, body=b'{"message": "job 1 was removed"}', times=2)
    result = once()
    assert (result.code, result.err) == (0, "")
    of = "job " + next(iter(fake_api.jobs)) if is_remembered else "a job that was removed since"
    assert result.out == f"duplicate   a.yaml: has the content of {of}, and was not submitted again\n"
    assert once("--after", "delete").out == ""
    assert names(inbox) == []


def test_a_server_that_was_set_up_anew_gets_what_is_dropped_again(fake_api: FakeApi, once: Once, inbox: Path) -> None:
    (inbox / "a.yaml").write_text(GOOD.format("one"))
    once("--after", "delete")
    fake_api.forget()
    (inbox / "b.yaml").write_text(GOOD.format("one"))
    assert once("--after", "delete").out.startswith("submitted   b.yaml: job ")
    assert len(fake_api.jobs) == 1


def test_patterns_and_recursion_choose_the_files(fake_api: FakeApi, once: Once, inbox: Path) -> None:
    (inbox / "in").mkdir()
    (inbox / "a.yaml").write_text(GOOD.format("one"))
    (inbox / "in" / "b.job").write_text(GOOD.format("two"))
    assert "in/b.job" in once("--recursive", "--pattern", "*.job", "--after", "move").out
    assert (inbox / "submitted" / "in" / "b.job").exists()
    assert posts(fake_api) == 1


def test_names_of_any_bytes_are_told_without_harm(fake_api: FakeApi, once: Once, inbox: Path) -> None:
    for number, name in enumerate([b"\xff.yaml", b"a\n\x1b[2J.yaml", b"-rf.yaml", "ü €.yaml".encode()]):
        (inbox / os.fsdecode(name)).write_text(GOOD.format(number))
    result = once("-o", "jsonl", "--after", "move")
    assert result.code == 0
    files = sorted(json.loads(line)["file"] for line in result.out.splitlines())
    assert files == ["-rf.yaml", "a\ufffd\ufffd[2J.yaml", "ü €.yaml", "\ufffd.yaml"]
    assert len(list((inbox / "submitted").iterdir())) == 4


def test_a_link_out_of_the_folder_is_not_followed(fake_api: FakeApi, once: Once, inbox: Path) -> None:
    (inbox.parent / "secret").write_text("password: hunter2")
    (inbox / "a.yaml").symlink_to("../secret")
    result = once()
    assert result.code == 2
    assert result.out.startswith("unreadable  a.yaml: the file can't be read: it is a link that leads out")
    assert "hunter2" not in result.out + (inbox / "a.yaml.error").read_text()


@pytest.mark.parametrize("damage", ["a file in its place", "rubbish in it"])
def test_a_damaged_memory_only_costs_work(fake_api: FakeApi, once: Once, inbox: Path, damage: str) -> None:
    (inbox / "a.yaml").write_text(GOOD.format("one"))
    once()
    if damage == "rubbish in it":
        for path in (inbox / ".torkctl").rglob("*"):
            if path.is_file():
                path.write_bytes(b"\xff rubbish")
        (inbox / ".torkctl" / "waiting").mkdir()
        (inbox / ".torkctl" / "taken" / "x").mkdir(parents=True)
    else:
        shutil.rmtree(inbox / ".torkctl")
        (inbox / ".torkctl").write_text("in the way")
    result = once()
    assert result.code == 0
    assert len(fake_api.jobs) == 1
    assert ("can't be written to" in result.err) == (damage == "a file in its place")


def test_ids_alone_are_printed_when_that_is_wanted(fake_api: FakeApi, once: Once, inbox: Path) -> None:
    (inbox / "a.yaml").write_text(GOOD.format("one"))
    (inbox / "b.yaml").write_text(BAD)
    assert once("-o", "name").out.splitlines() == list(fake_api.jobs)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "nowhere is not a folder"),
        (["inbox", "--once", "--no-existing"], "--once --no-existing would submit nothing"),
        (["inbox", "-o", "json"], "right would be -o jsonl"),
        (["inbox", "--settle", "soon"], "--settle: "),
        (["inbox", "--after", "burn"], "burn"),
    ],
)
def test_wrong_usage_is_one_sentence(
    fake_api: FakeApi, torkctl: Torkctl, inbox: Path, arguments: list[str], sentence: str
) -> None:
    result = torkctl("watch", *arguments)
    assert result.code == 2
    assert sentence in result.err
    assert fake_api.requests == []
