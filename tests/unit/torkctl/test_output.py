"""What stdout gets: data in the format asked for, and nothing else."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from tests.support.fake_api import FakeApi
from tests.support.torkctl_runs import Torkctl
from tork.job import JobState
from torkctl.output.times import age

JOB = "a" * 32


def test_get_as_json_is_the_documents_of_the_api(fake_api: FakeApi, torkctl: Torkctl, ended_job: str) -> None:
    assert json.loads(torkctl("get", ended_job, "-o", "json").out) == fake_api.jobs[ended_job]
    assert yaml.safe_load(torkctl("get", ended_job, "-o", "yaml").out)["id"] == ended_job
    assert len(torkctl("get", ended_job, "-o", "jsonl").out.splitlines()) == 1
    assert torkctl("get", ended_job, "-o", "name").out == ended_job + "\n"


def test_get_shows_the_job_and_its_tree(torkctl: Torkctl, ended_job: str) -> None:
    lines = torkctl("get", ended_job).out.splitlines()
    assert ["state", "FAILED"] in [line.split() for line in lines]
    assert lines[-3:] == [
        "etl  FAILED  3.2s",
        "├── build  COMPLETED  1.0s",
        "└── test  FAILED  exit code 2: boom",
    ]


def test_of_an_each_that_went_on_after_failures_all_are_told(fake_api: FakeApi, torkctl: Torkctl) -> None:
    fake_api.add_job(JOB)
    error = "2 of 3 have failed:\nitem 0 (a): boom\nitem 2 (c): bang"
    each = {"size": 3, "completions": 1, "failures": 2}
    fake_api.add_task(JOB, "p", name="all", each=each, state="FAILED", error=error)
    for name, state in (("a", "FAILED"), ("b", "COMPLETED"), ("c", "FAILED")):
        fake_api.add_task(JOB, name, name=name, parentId="p", state=state, error="bang" if state == "FAILED" else "")
    fake_api.end(JOB, "FAILED", error=error)
    assert "all  [each 1/3, 2 failed]  FAILED" in torkctl("get", JOB).out
    ended = torkctl("wait", JOB)
    assert "task 'all': 2 of 3 have failed: item 0 (a): boom | item 2 (c): bang" in ended.err


def test_children_are_below_their_parent_and_thousands_are_summed_up(fake_api: FakeApi, torkctl: Torkctl) -> None:
    fake_api.add_job(JOB)
    fake_api.add_task(JOB, "p", name="all", each={"size": 300, "completions": 299}, state="RUNNING")
    for number in range(299):
        fake_api.jobs[JOB]["execution"].append({"id": f"c{number}", "parentId": "p", "name": "c", "state": "COMPLETED"})
    fake_api.jobs[JOB]["execution"].append({"id": "bad", "parentId": "p", "name": "bad", "state": "FAILED"})
    out = torkctl("get", JOB).out
    assert "└── all  [each 299/300]  RUNNING" in out
    assert "    ├── bad  FAILED" in out
    assert out.splitlines()[-1] == "    └── … and 250 more COMPLETED"


def test_get_falls_back_to_the_task_of_that_id(fake_api: FakeApi, torkctl: Torkctl) -> None:
    fake_api.add_job(JOB)
    fake_api.add_task(JOB, "f" * 32, name="build")
    assert ["name", "build"] in [line.split() for line in torkctl("get", "f" * 32).out.splitlines()]
    assert json.loads(torkctl("get", "f" * 32, "-o", "json").out)["name"] == "build"


@pytest.mark.parametrize("output", ["table", "wide"])
def test_a_piped_table_is_plain_aligned_text(torkctl: Torkctl, ended_job: str, output: str) -> None:
    out = torkctl("list", "-o", output).out
    header, row = out.splitlines()
    assert header.split()[:3] == ["ID", "NAME", "STATE"]
    assert row.split()[:3] == [ended_job, "etl", "FAILED"]
    assert header.index("STATE") == row.index("FAILED")
    assert "\x1b" not in out


def test_list_in_every_format(fake_api: FakeApi, torkctl: Torkctl, ended_job: str) -> None:
    other = fake_api.add_job("b" * 32)
    assert torkctl("list", "-o", "name").out.split() == [other, ended_job]
    assert torkctl("ls", "-o", "name").out.split() == [other, ended_job]
    page = json.loads(torkctl("list", "-o", "json").out)
    assert ([job["id"] for job in page["items"]], page["totalItems"]) == ([other, ended_job], 2)
    lines = torkctl("list", "-o", "jsonl").out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [other, ended_job]
    assert yaml.safe_load(torkctl("list", "-o", "yaml").out)["items"][0]["id"] == other


def test_an_empty_list_is_an_empty_document(fake_api: FakeApi, torkctl: Torkctl) -> None:
    assert json.loads(torkctl("list", "-o", "json").out)["items"] == []
    assert torkctl("list", "-o", "jsonl").out == torkctl("list", "-o", "name").out == ""


def test_list_asks_the_server_for_what_is_wanted(fake_api: FakeApi, torkctl: Torkctl) -> None:
    torkctl("list", "some words", "--state", "failed,running", "--tag", "x", "--tag", "y")
    [asked] = fake_api.requests_to("/jobs")
    assert asked.query == {"q": "some words", "state": "FAILED,RUNNING", "tag": "x,y", "page": "1", "size": "20"}


@pytest.mark.parametrize(("limit", "page", "expected"), [(3, 2, range(3, 6)), (45, 1, range(45)), (30, 2, range(30, 50)),
                                                         (7, 9, range(0))])  # fmt: skip
def test_limit_and_page_reach_beyond_the_servers_own_pages(
    fake_api: FakeApi, torkctl: Torkctl, limit: int, page: int, expected: range
) -> None:
    ids = [fake_api.add_job(f"{number:032x}") for number in range(50)][::-1]
    shown = torkctl("list", "--limit", str(limit), "--page", str(page), "-o", "name").out.split()
    assert shown == [ids[index] for index in expected]


def test_submit_prints_id_name_and_state(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    header, row = torkctl("submit", job_file).out.splitlines()
    assert (header.split(), row.split()) == (["ID", "NAME", "STATE"], [*fake_api.jobs, "etl", "PENDING"])


def test_submit_in_every_format(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    assert torkctl("submit", job_file, "-o", "name").out.split() == list(fake_api.jobs)
    assert json.loads(torkctl("-o", "json", "submit", job_file).out)["state"] == "PENDING"
    assert len(json.loads(torkctl("submit", job_file, job_file, "-o", "json").out)) == 2
    assert len(torkctl("submit", job_file, job_file, "-o", "jsonl").out.splitlines()) == 2


def test_submit_and_wait_as_json_is_the_ended_job_alone(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    fake_api.on_submit = lambda job_id: fake_api.end(job_id, "FAILED")
    for flag in ("--wait", "--follow"):
        ran = torkctl("submit", flag, job_file, "-o", "json")
        assert (ran.code, json.loads(ran.out)["state"]) == (1, "FAILED")


def test_the_first_submissions_are_shown_when_a_later_one_is_refused(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str
) -> None:
    fake_api.on_submit = lambda _id: fake_api.fail(
        "/jobs", "status", status=400, method="POST", body=b'{"message":"no"}'
    )
    ran = torkctl("submit", job_file, job_file, "-o", "name")
    assert (ran.code, ran.out.split(), ran.err) == (2, list(fake_api.jobs), "error: no\n")


def test_submit_and_wait_prints_the_ended_job_alone(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    fake_api.on_submit = fake_api.end
    header, row = torkctl("submit", "--wait", job_file).out.splitlines()
    assert (header.split()[2], row.split()[2]) == ("STATE", "COMPLETED")


def test_a_parallel_has_its_children_in_the_order_of_the_file(fake_api: FakeApi, torkctl: Torkctl) -> None:
    fake_api.add_job(JOB)
    fake_api.add_task(JOB, "p", name="all", parallel={"tasks": [{"name": "first"}, {"name": "second"}]})
    for name in ("second", "first"):
        fake_api.add_task(JOB, name, parentId="p", name=name, state="COMPLETED")
    lines = torkctl("get", JOB).out.splitlines()
    assert [line.split()[1] for line in lines[-2:]] == ["first", "second"]


def test_a_superseded_attempt_is_not_shown_as_a_failure(fake_api: FakeApi) -> None:
    fake_api.add_job(JOB)
    fake_api.add_task(JOB, "t1", name="flaky", state="FAILED", error="oh")
    fake_api.add_task(JOB, "t2", name="flaky", state="COMPLETED")
    shown = _on_a_terminal(fake_api, "get", JOB)
    assert "\x1b[2mflaky  FAILED" in shown
    assert "\x1b[31m" not in shown


def _on_a_terminal(fake_api: FakeApi, *arguments: str, **environ: str) -> str:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "torkctl", *arguments], cwd=Path(__file__).parents[3], stdout=theirs, stderr=theirs,
        env={**os.environ, "TORK_CLIENT_ENDPOINT": fake_api.url, "TERM": "xterm", "COLUMNS": "200", **environ},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:
        pass  # Linux's way of saying that the other side has closed
    finally:
        os.close(ours)
        process.wait(timeout=30)
    return shown.decode()


def test_colour_is_for_terminals_and_for_those_who_want_it(fake_api: FakeApi, ended_job: str) -> None:
    assert "\x1b[31mFAILED" in _on_a_terminal(fake_api, "list")
    assert "\x1b" not in _on_a_terminal(fake_api, "list", NO_COLOR="1")
    assert "\x1b" not in _on_a_terminal(fake_api, "list", "--no-color")
    assert "\x1b" not in _on_a_terminal(fake_api, "get", ended_job, TERM="dumb")


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (80, ["ID", "NAME", "STATE", "PROGRESS", "AGE", "DURATION"]),
        (60, ["ID", "NAME", "STATE", "PROGRESS", "AGE"]),
        (50, ["ID", "NAME", "STATE", "AGE"]),
        (30, ["ID", "NAME", "STATE"]),
    ],
)
def test_a_terminal_shows_a_line_a_job_and_drops_columns_where_it_is_narrow(
    fake_api: FakeApi, width: int, columns: list[str]
) -> None:
    created_at = (datetime.now(UTC) - timedelta(days=400)).isoformat()
    fake_api.add_job(JOB, state="COMPLETED", name="a name that is " + "very " * 30 + "long", createdAt=created_at)
    lines = _on_a_terminal(fake_api, "list", COLUMNS=str(width), NO_COLOR="1").splitlines()
    assert [lines[0].split(), lines[1].split()[0], len(lines)] == [columns, JOB[:8], 2]
    assert "…" in lines[1]
    assert max(map(len, lines)) <= width
    assert ("400d" in lines[1]) is ("AGE" in columns)


def test_wide_and_a_pipe_show_the_whole_id_and_the_date(fake_api: FakeApi, torkctl: Torkctl, ended_job: str) -> None:
    assert ended_job in _on_a_terminal(fake_api, "list", "-o", "wide", COLUMNS="40")
    for shown in (torkctl("list").out, torkctl("list", "-o", "wide").out):
        assert ended_job in shown
        assert "2026-01-02" in shown


@pytest.mark.parametrize(
    ("age_of", "text"),
    [({"seconds": 40}, "40s"), ({"minutes": 3, "seconds": 59}, "3m"), ({"hours": 2}, "2h"), ({"days": 5}, "5d")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_age_is_one_unit(age_of: dict[str, int], text: str) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert age(now - timedelta(**age_of), now) == text


def test_a_page_without_jobs_is_a_sentence_on_stderr(torkctl: Torkctl, ended_job: str) -> None:
    ran = torkctl("list", "--page", "99")
    assert (ran.code, ran.out, ran.err) == (0, "", "no jobs on page 99\n")


def test_list_names_the_states_and_what_a_limit_is(torkctl: Torkctl, fake_api: FakeApi) -> None:
    shown = torkctl("list", "--help").out
    assert "<int" not in shown
    assert all(state in shown for state in JobState)
    ran = torkctl("list", "--limit", "x")
    assert (ran.code, ran.err) == (2, "error: --limit: 'x' is not a number from 1 on (right would be e.g. 20)\n")


def test_schema_is_json_and_validate_reports_every_problem(torkctl: Torkctl, job_file: str) -> None:
    assert "$schema" in json.loads(torkctl("schema").out)
    Path("bad.yaml").write_text("name: x\ntasks:\n  - name: y\n    imag: z\n    run: z\n")
    ran = torkctl("validate", job_file, "bad.yaml", "-o", "json")
    assert (ran.code, [report["valid"] for report in json.loads(ran.out)]) == (2, [True, False])
    assert "bad.yaml:4:5" in ran.err
    assert "did you mean 'image'?" in ran.err
    assert torkctl("validate", job_file).code == 0


EVERYTHING = """
name: x
schedule: {cron: "@daily"}
webhooks: [{url: http://localhost}]
permissions: [{user: me}]
tasks:
- {name: boxed, image: alpine, run: 'true'}
"""


def test_validate_takes_every_key_of_a_job(torkctl: Torkctl) -> None:
    Path("everything.yaml").write_text(EVERYTHING)
    ran = torkctl("validate", "everything.yaml", "-o", "json")
    assert (ran.code, json.loads(ran.out)) == (0, [{"file": "everything.yaml", "valid": True, "problems": []}])


def test_yaml_shows_texts_of_several_lines_as_blocks(fake_api: FakeApi, torkctl: Torkctl) -> None:
    fake_api.add_job(JOB, tasks=[{"name": "build", "run": "one\ntwo\n"}])
    out = torkctl("get", JOB, "-o", "yaml").out
    assert "run: |\n    one\n    two\n" in out
    assert yaml.safe_load(out) == fake_api.jobs[JOB]


def test_the_help_of_every_command_is_a_whole_sentence(torkctl: Torkctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert "..." not in torkctl("--help").out.partition("Commands:")[2]


def test_a_reason_is_not_told_twice(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    def end(job_id: str) -> None:
        fake_api.add_task(job_id, "t1", name="a", state="FAILED", error="task 'a' needs a container")
        fake_api.end(job_id, "FAILED", error="task 'a' needs a container")

    fake_api.on_submit = end
    assert torkctl("submit", "-w", job_file).err.endswith("FAILED after 3.2s: task 'a': needs a container\n")


def test_quiet_leaves_only_errors(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    fake_api.on_submit = lambda job_id: fake_api.end(job_id)
    assert torkctl("submit", "-q", "--follow", job_file).err == ""
    assert torkctl("-q", "get", "f" * 32).err.startswith("error: ")


@pytest.mark.parametrize("how", ["--wait", "--follow"])
def test_quiet_tells_why_a_job_did_not_end_well(fake_api: FakeApi, torkctl: Torkctl, job_file: str, how: str) -> None:
    def end(job_id: str) -> None:
        fake_api.add_task(job_id, "t1", name="build", state="FAILED", error="exit code 2: no such file")
        fake_api.end(job_id, "FAILED", error="exit code 2: no such file")

    fake_api.on_submit = end
    [line] = torkctl("submit", "-q", how, job_file).err.splitlines()
    assert line.endswith("FAILED after 3.2s: task 'build': exit code 2: no such file")
    fake_api.on_submit = lambda job_id: fake_api.end(job_id, "CANCELLED")
    assert "CANCELLED after 3.2s" in torkctl("submit", "-q", how, job_file).err


def test_quiet_has_no_word_for_a_cancelled_job_that_was_to_be_cancelled(fake_api: FakeApi, torkctl: Torkctl) -> None:
    fake_api.add_job(JOB)
    assert torkctl("cancel", "-q", "--wait", JOB).err == ""
