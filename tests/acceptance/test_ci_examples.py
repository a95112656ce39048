"""The scripts of `examples/ci`, run as a build server runs them: its variables, its signals, and a daemon that goes away."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.build_servers import GITHUB, GITLAB
from tests.support.daemon import Daemon
from tests.support.junit_files import cases, read_junit, text_of

ROOT = Path(__file__).parents[2]
CI = ROOT / "examples" / "ci"
JOB = str(CI / "build.yaml")
ALL_WELL = {"fetch": "passed", "checks/lint": "passed", "checks/test": "passed", "package": "passed"}


@pytest.fixture
def step(daemon: Daemon, tmp_path: Path) -> dict[str, str]:
    """What a step of a workflow has in its environment."""
    bin_directory = str(Path(sys.executable).parent)
    environ = daemon.client_environment()
    return {
        **environ,
        **GITHUB,
        "CI": "true",
        "PATH": f"{bin_directory}:{environ['PATH']}",
        "GITHUB_RUN_ID": uuid.uuid4().hex,
        "GITHUB_ENV": str(tmp_path / f"set_env_{uuid.uuid4()}"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }


def start(script: str, *arguments: str, environ: dict[str, str], cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [CI / script, *arguments],
        env=environ, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(script: str, *arguments: str, environ: dict[str, str], cwd: Path) -> tuple[int, str, str]:
    process = start(script, *arguments, environ=environ, cwd=cwd)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def jobs_of(daemon: Daemon, tag: str) -> list[Any]:
    found: list[Any] = daemon.call("GET", f"/jobs?tag={tag}")["items"]
    return found


def test_a_step_runs_its_job_once_and_another_step_another(
    daemon: Daemon, step: dict[str, str], tmp_path: Path
) -> None:
    tag = uuid.uuid4().hex
    first = run("run-job.sh", JOB, "--tag", tag, environ=step, cwd=tmp_path)
    assert first[0] == 0, first
    assert cases(read_junit(tmp_path / "reports" / "build.xml")) == ALL_WELL
    assert "### build: COMPLETED" in Path(step["GITHUB_STEP_SUMMARY"]).read_text()
    again = run("run-job.sh", JOB, "--tag", tag, environ=step, cwd=tmp_path)
    assert again[0] == 0
    assert "was submitted before under the same key" in again[2]
    assert len(jobs_of(daemon, tag)) == 1
    leg = {**step, "GITHUB_ENV": str(tmp_path / f"set_env_{uuid.uuid4()}")}
    for other in (leg, {**step, "GITHUB_RUN_ATTEMPT": "2"}):
        assert run("run-job.sh", JOB, "--tag", tag, environ=other, cwd=tmp_path)[0] == 0
    assert len(jobs_of(daemon, tag)) == 3


def test_a_job_that_fails_fails_the_step_and_says_where(step: dict[str, str], tmp_path: Path) -> None:
    code, out, _ = run("run-job.sh", JOB, "--input", "fail=yes", environ=step, cwd=tmp_path)
    assert code == 1
    assert re.search(
        r"^::error title=task 'checks/test' FAILED::exit code 7.*1 failed: expected 4, got 5", out, re.MULTILINE
    )
    root = read_junit(tmp_path / "reports" / "build.xml")
    assert cases(root) == {
        **ALL_WELL,
        "checks/test": "failure",
        "checks/lint": cases(root)["checks/lint"],
        "package": "skipped",
    }
    assert "1 failed: expected 4, got 5" in text_of(root, "checks/test", "failure")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_pipeline_that_is_cancelled_cancels_the_job(
    daemon: Daemon, step: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    tag = uuid.uuid4().hex
    endless = tmp_path / "endless.yaml"
    endless.write_text("name: endless\ntasks: [{name: on and on, run: 'echo begun; sleep 600'}]\n")
    process = start("run-job.sh", str(endless), "--tag", tag, environ=step, cwd=tmp_path)
    assert process.stdout
    while "begun" not in process.stdout.readline():
        pass
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, (out, err)
    [job] = jobs_of(daemon, tag)
    assert daemon.wait(job["id"])["state"] == "CANCELLED"
    assert "interrupted" in text_of(read_junit(tmp_path / "reports" / "endless.xml"), "(job)", "error")


def test_a_daemon_that_was_away_for_long_is_asked_again_about_the_same_job(
    daemon: Daemon, step: dict[str, str], tmp_path: Path
) -> None:
    tag, gate = uuid.uuid4().hex, tmp_path / "gate"
    waiting = tmp_path / "waiting.yaml"
    waiting.write_text(
        f"name: waiting\ntasks: [{{name: waits, run: 'echo begun; while [ ! -e {gate} ]; do sleep 0.05; done'}}]\n"
    )
    environ = {**step, "TORK_CLIENT_RETRY_FOR": "500ms", "JOB_PAUSE": "0.2", "JOB_TRIES": "1000"}
    process = start("run-job.sh", str(waiting), "--tag", tag, environ=environ, cwd=tmp_path)
    assert process.stdout
    assert process.stderr
    while "begun" not in process.stdout.readline():
        pass
    daemon.kill()
    while "asking again" not in process.stderr.readline():
        pass
    gate.touch()
    daemon.start()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert [job["state"] for job in jobs_of(daemon, tag)] == ["COMPLETED"]
    assert cases(read_junit(tmp_path / "reports" / "waiting.xml")) == {"waits": "passed"}


def test_jobs_side_by_side_are_one_report_with_the_worst_code(
    daemon: Daemon, step: dict[str, str], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: bad\ntasks: [{name: breaks, run: 'echo ::add-mask::x; exit 3'}]\n")
    gitlab = {name: value for name, value in step.items() if not name.startswith("GITHUB")}
    gitlab |= {**GITLAB, "CI_JOB_ID": str(uuid.uuid4().int)}
    code, out, err = run("run-jobs.sh", JOB, str(bad), environ=gitlab, cwd=tmp_path)
    assert code == 1, err
    assert cases(read_junit(tmp_path / "reports" / "jobs.xml")) == {**ALL_WELL, "breaks": "failure"}
    assert re.search(r"\x1b\[0Ksection_start:\d+:\S+[\r\n]\x1b\[0KThe end of the log of task 'breaks'", err)
    assert "FAILED" in out


@pytest.mark.parametrize("name", ["github-workflow.yml", ".gitlab-ci.yml"])
def test_a_pipeline_names_scripts_that_there_are(name: str) -> None:
    text = (CI / name).read_text()
    assert isinstance(yaml.safe_load(text), dict)
    named = set(re.findall(r"examples/ci/[\w.-]+", text))
    assert named
    for path in named:
        assert (ROOT / path).exists()
        assert path.endswith(".yaml") or os.access(ROOT / path, os.X_OK)


def test_the_scripts_ask_for_nothing_that_a_small_shell_lacks() -> None:
    for script in CI.glob("*.sh"):
        assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
