"""What real shells offer when somebody presses Tab, once `--install-completion` has been run in them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.fake_api import FakeApi

SCHEDULE = b'{"name": "nightly", "schedule": {"cron": "0 3 * * *"}, "tasks": [{"name": "one", "run": "true"}]}'
BASH = """
torkctl --install-completion >&2; source ~/.bashrc
COMP_WORDS=({words}) COMP_CWORD={last}; _torkctl_completion torkctl; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
FISH = """
torkctl --install-completion >&2; source ~/.config/fish/completions/torkctl.fish
complete -C '{line}'
"""
# zsh completes at a prompt only, so what it would show is caught where it is handed over.
ZSH = """
torkctl --install-completion >&2; source ~/.zshrc; _arguments() {{ print -r -- "$@" }}; _files() {{ }}
autoload +X _torkctl; words=({words}); CURRENT={count}; compdef() {{ }}; _torkctl; _torkctl_completion
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon() as running:
        running.call("POST", "/scheduled-jobs", SCHEDULE, {"Content-Type": "application/json"})
        config = running.base / ".config" / "torkctl" / "config.toml"
        config.parent.mkdir(parents=True)
        config.write_text('[contexts.desk]\nendpoint = "http://localhost:1"\n')
        yield running


def offered(daemon: Daemon, shell: str, line: str, **more: str) -> str:
    """What the shell offers at the end of the line."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    script = {"bash": BASH, "fish": FISH, "zsh": ZSH}[shell].format(
        words=quoted, last=len(words) - 1, count=len(words), line=line
    )
    environment = daemon.client_environment() | more
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        [shell, "-c", script + "\ntrue"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_offers_verbs_and_the_names_of_the_server(daemon: Daemon, shell: str) -> None:
    both = offered(daemon, shell, "torkctl queues d")
    assert "delete" in both
    assert "default" in both
    assert "nightly" in offered(daemon, shell, "torkctl schedules pause n")


def test_jobs_contexts_formats_and_options_are_offered(daemon: Daemon) -> None:
    job_id = daemon.submit({"name": "small", "tasks": [{"name": "one", "run": "true"}]})
    assert offered(daemon, "bash", f"torkctl wait {job_id[:4]}").split() == [job_id]
    for command in ("tree", "timeline", "webhooks", "why", "get"):
        assert offered(daemon, "bash", f"torkctl {command} {job_id[:4]}").split() == [job_id]
    assert offered(daemon, "bash", "torkctl why n").split() == ["nightly"]
    assert offered(daemon, "bash", "torkctl logs @").split() == ["@last"]
    assert offered(daemon, "bash", "torkctl context use d").split() == ["desk"]
    assert offered(daemon, "bash", "torkctl list -o js").split() == ["json", "jsonl"]
    assert "--watch" in offered(daemon, "bash", "torkctl nodes --w").split()
    assert "schedules" in offered(daemon, "bash", "torkctl sch").split()


def test_a_server_that_is_away_or_says_nothing_means_no_offer_and_no_word(daemon: Daemon) -> None:
    assert offered(daemon, "bash", "torkctl queues delete d", TORK_CLIENT_ENDPOINT="http://127.0.0.1:9").split() == []
    server = FakeApi()
    try:
        server.fail("/queues", "stall", times=9)
        assert offered(daemon, "bash", "torkctl queues delete d", TORK_CLIENT_ENDPOINT=server.url).split() == []
        assert server.requests_to("/queues")
    finally:
        server.stop()
