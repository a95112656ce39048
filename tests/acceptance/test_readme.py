"""The README's "Five minutes" as a newcomer would type them, and the job it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.engines import ContainerEngine

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIVE_MINUTES = README.partition("## Five minutes")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```console\n(.*?)```", FIVE_MINUTES, re.DOTALL)
COMMANDS = [line.removeprefix("$ ") for block in BLOCKS for line in block.splitlines() if line.startswith("$ ")]
INSTALLING = ("python3 -m venv", "pip install")
DAEMON = "torkd run standalone"
FOR_THE_DAEMON = [line for line in COMMANDS if line != DAEMON and not line.startswith(INSTALLING)]
DURATION = re.compile(r"\d+\.\ds")


@pytest.fixture(scope="module")
def readme_daemon() -> Iterator[Daemon]:
    """What step 2 starts, on a port of its own."""
    with Daemon() as running:
        yield running


def run(
    daemon: Daemon, command: str, cwd: Path = ROOT, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Type it into a shell in which the virtual environment is active."""
    environment = {**daemon.client_environment(), **(settings or {})}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["TORK_DATA_DIR"] = str(daemon.base / "data-of-runs")
    return subprocess.run(
        ["bash", "-c", command.replace("localhost:8000", f"127.0.0.1:{daemon.port}")],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_the_commands_are_those_that_are_tried_here() -> None:
    assert DAEMON in COMMANDS
    assert sum(line.startswith(INSTALLING) for line in COMMANDS) == 2
    assert len(FOR_THE_DAEMON) >= 7


def test_the_commands_work_in_their_order(readme_daemon: Daemon) -> None:
    for command in FOR_THE_DAEMON:
        done = run(readme_daemon, command)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert "Traceback" not in done.stderr
    assert "Hello, Ada!" in run(readme_daemon, FOR_THE_DAEMON[1]).stdout


def test_the_first_run_prints_what_is_shown(readme_daemon: Daemon) -> None:
    command, *shown = BLOCKS[1].splitlines()
    done = run(readme_daemon, command.removeprefix("$ "))
    told = DURATION.sub("0.0s", done.stdout + done.stderr).splitlines()
    missing = [line for line in shown if line != "..." and DURATION.sub("0.0s", line) not in told]
    assert missing == []


def test_the_first_container_prints_what_is_shown(readme_daemon: Daemon, stand_ins: ContainerEngine) -> None:
    [block] = re.findall(
        r"```console\n(.*?)```", README.partition("## A container")[2].partition("\n## ")[0], re.DOTALL
    )
    command, *shown = block.splitlines()
    done = run(readme_daemon, command.removeprefix("$ "), settings=stand_ins.settings)
    told = DURATION.sub("0.0s", done.stdout + done.stderr).splitlines()
    assert done.returncode == 0, done.stderr
    assert [line for line in shown if line != "..." and DURATION.sub("0.0s", line) not in told] == []


def test_the_job_of_step_four_counts_its_words(readme_daemon: Daemon, tmp_path: Path) -> None:
    [job] = re.findall(r"```yaml\n(.*?)```", FIVE_MINUTES, re.DOTALL)
    (tmp_path / "job.yaml").write_text(job)
    assert run(readme_daemon, "torkctl validate job.yaml", cwd=tmp_path).returncode == 0
    assert "There are 6 words.\n" in run(readme_daemon, "torkctl run job.yaml", cwd=tmp_path).stdout
    followed = run(readme_daemon, "torkctl submit --follow --input text='just three words' job.yaml", cwd=tmp_path)
    assert "There are 3 words." in followed.stdout


def test_every_page_that_the_readme_names_exists() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_make_target_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)", README)) <= targets
