"""`torkctl watch` as a process on a real daemon: files that come in every way, kills, outages, and a folder that goes away."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.client_process import ClientProcess
from tests.support.daemon import Daemon
from tests.support.gates import Gate
from tests.support.waiting import wait_until


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """The watched folder."""
    path = tmp_path / "inbox"
    path.mkdir()
    return path


def watch(daemon: Daemon, inbox: Path, *arguments: str) -> ClientProcess:
    process = ClientProcess(
        "watch", "--settle", "100ms", *arguments, str(inbox), environment=daemon.client_environment()
    )
    process.saw("watching")
    return process


def a_job(name: str) -> str:
    return f"name: {name}\ntasks:\n  - name: a\n    run: 'true'\n"


def jobs_named(daemon: Daemon, name: str) -> list[dict[str, Any]]:
    page = daemon.call("GET", "/jobs?size=20")
    return [job for job in page["items"] if job["name"] == name]


def test_files_that_are_created_renamed_in_or_rewritten_are_submitted(
    daemon: Daemon, inbox: Path, tmp_path: Path
) -> None:
    (inbox / "early.yaml").write_text(a_job("early"))
    with watch(daemon, inbox) as watching:
        watching.saw("(early)")
        (inbox / "created.yaml").write_text(a_job("created"))
        (tmp_path / "elsewhere").write_text(a_job("renamed"))
        (tmp_path / "elsewhere").rename(inbox / "renamed.yml")
        watching.saw("(created)")
        watching.saw("(renamed)")
        (inbox / "created.yaml").write_text("tasks: [")
        watching.saw("invalid")
        assert ":1:" in (inbox / "created.yaml.error").read_text()
        (inbox / "created.yaml").write_text(a_job("rewritten"))
        watching.saw("(rewritten)")
        wait_until(lambda: not (inbox / "created.yaml.error").exists())
        # watchfiles gives up at such a name
        (inbox / os.fsdecode(b"\xff.yaml")).write_text(a_job("odd"))
        watching.saw("(odd)")
        (inbox / "after-odd.yaml").write_text(a_job("after-odd"))
        watching.saw("(after-odd)")
        watching.process.send_signal(signal.SIGTERM)
        assert watching.ended() == 0
    assert "Traceback" not in watching.told()
    for name in ("early", "created", "renamed", "rewritten", "odd"):
        assert len(jobs_named(daemon, name)) == 1, name


def test_a_file_that_is_open_for_writing_waits_for_its_end(daemon: Daemon, inbox: Path) -> None:
    with watch(daemon, inbox, "--after", "move") as watching:
        with (inbox / "slow.yaml").open("w") as writer:
            writer.write(a_job("half"))
            writer.flush()
            (inbox / "later.yaml").write_text(a_job("later"))
            watching.saw("(later)")
            assert jobs_named(daemon, "half") == []
            writer.seek(0)
            writer.write(a_job("full"))
        watching.saw("(full)")
        wait_until((inbox / "submitted" / "slow.yaml").exists)
        assert jobs_named(daemon, "half") == []
        watching.interrupt()
        assert watching.ended() == 130


def test_files_that_are_there_do_not_count_with_no_existing_until_they_are_rewritten(
    daemon: Daemon, inbox: Path
) -> None:
    (inbox / "old.yaml").write_text(a_job("there-before"))
    with watch(daemon, inbox, "--no-existing") as watching:
        (inbox / "new.yaml").write_text(a_job("new-one"))
        watching.saw("(new-one)")
        assert jobs_named(daemon, "there-before") == []
        (inbox / "old.yaml").write_text(a_job("old-again"))
        watching.saw("(old-again)")


def test_a_folder_in_it_counts_with_recursive_however_fast_it_is_filled(daemon: Daemon, inbox: Path) -> None:
    with watch(daemon, inbox, "--recursive", "--after", "delete") as watching:
        (inbox / "a" / "b").mkdir(parents=True)
        (inbox / "a" / "b" / "deep.yaml").write_text(a_job("deep"))
        watching.saw("a/b/deep.yaml: job")
        wait_until(lambda: not (inbox / "a" / "b" / "deep.yaml").exists())


def test_a_folder_that_vanishes_is_waited_for(daemon: Daemon, inbox: Path) -> None:
    with watch(daemon, inbox) as watching:
        (inbox / "one.yaml").write_text(a_job("before-it-went"))
        watching.saw("(before-it-went)")
        shutil.rmtree(inbox)
        watching.saw("waiting     for the folder")
        inbox.mkdir()
        (inbox / "two.yaml").write_text(a_job("after-it-came"))
        watching.saw("(after-it-came)")
        watching.saw("the folder is there again")


def test_a_file_with_a_schedule_goes_to_the_scheduler_once(daemon: Daemon, inbox: Path) -> None:
    (inbox / "yearly.yaml").write_text(a_job("yearly") + "schedule:\n  cron: '0 0 1 1 *'\n")
    (inbox / "copy.yaml").write_text(a_job("yearly") + "schedule:\n  cron: '0 0 1 1 *'\n")
    done = daemon.torkctl("watch", "--once", "--wait", "--settle", "100ms", "-o", "jsonl", str(inbox))
    assert done.returncode == 0, done.stderr
    kinds = sorted(json.loads(line)["event"] for line in done.stdout.splitlines())
    assert kinds == ["duplicate", "scheduled"]
    [schedule] = daemon.call("GET", "/scheduled-jobs")["items"]
    assert schedule["name"] == "yearly"
    daemon.call("DELETE", f"/scheduled-jobs/{schedule['id']}")
    shutil.rmtree(inbox / ".torkctl")
    again = daemon.torkctl("watch", "--once", "--settle", "100ms", str(inbox))
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("has the content of a schedule that was removed since") == 2
    assert daemon.call("GET", "/scheduled-jobs")["items"] == []


def test_what_comes_while_the_server_is_away_is_submitted_when_it_is_back(daemon: Daemon, inbox: Path) -> None:
    with watch(daemon, inbox, "--after", "move") as watching:
        daemon.kill()
        (inbox / "one.yaml").write_text(a_job("in-the-outage"))
        watching.saw("waiting     for the server: ")
        (inbox / "bad.yaml").write_text("nonsense: 1\n")
        watching.saw("invalid     bad.yaml:1:1: ")
        assert (inbox / "one.yaml").exists()
        daemon.start()
        watching.saw("(in-the-outage)")
        watching.saw("the server answers again")
        wait_until((inbox / "submitted" / "one.yaml").exists)
    assert len(jobs_named(daemon, "in-the-outage")) == 1


def test_a_result_is_written_though_the_watcher_was_killed_meanwhile(daemon: Daemon, inbox: Path) -> None:
    gate = Gate(daemon.base / "gate-watch")
    (inbox / "one.json").write_text(json.dumps(gate.job("long")))
    with watch(daemon, inbox, "--wait", "--after", "delete") as watching:
        watching.saw("(long)")
        wait_until(lambda: not (inbox / "one.json").exists())
        watching.process.kill()
    with watch(daemon, inbox, "--wait", "--after", "delete") as watching:
        assert not (inbox / "one.json.result.json").exists()
        gate.open()
        watching.saw("ended       one.json: job ")
        wait_until((inbox / "one.json.result.json").exists)
    assert json.loads((inbox / "one.json.result.json").read_text())["state"] == "COMPLETED"
    assert list((inbox / ".torkctl" / "waiting").rglob("*.*")) == []
