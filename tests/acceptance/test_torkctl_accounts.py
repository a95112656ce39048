"""torkctl's commands about users, roles, keys and the log of who did what, as an admin and as others type them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import yaml

from tests.support.daemon import Daemon

FORMATS = ["table", "wide", "name", "json", "jsonl", "yaml"]
ROOT_PASSWORD = "correct-horse"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    daemon = Daemon({"TORK_MIDDLEWARE_WEB_BASICAUTH_ENABLED": "true"})
    with daemon:
        made = subprocess.run(
            [sys.executable, "-m", "torkd", "user", "create", "root", "--admin", "--password-file", "-"],
            env=daemon.environment, cwd=daemon.base, input=ROOT_PASSWORD, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert made.returncode == 0
        yield daemon


@pytest.fixture(scope="module")
def torkctl(daemon: Daemon) -> Run:
    def run(*words: str, who: str = "root", password: str = ROOT_PASSWORD, stdin: str = "", **more: str) -> object:
        given = {"TORK_CLIENT_USERNAME": who, "TORK_CLIENT_PASSWORD": password} if who else {}
        return subprocess.run(
            [sys.executable, "-m", "torkctl", *words],
            env=daemon.client_environment() | given | more, input=stdin, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run  # type: ignore[return-value] # the fields that are used are those of a completed process


@pytest.fixture(scope="module")
def crew(torkctl: Run) -> None:
    assert torkctl("roles", "create", "crew", "--name", "The crew").returncode == 0
    done = torkctl("users", "create", "ada", "--role", "crew", "--password", "env:ADA", ADA="battery-staple")
    assert done.returncode == 0, done.stderr
    assert torkctl("keys", "create", "ci", "--role", "crew").returncode == 0


@pytest.mark.parametrize("output", FORMATS)
@pytest.mark.parametrize(
    ("command", "word"),
    [("users", "ada"), ("users get ada", "ada"), ("roles", "crew"), ("keys", "ci"), ("audit", "user.create")],
)
def test_what_is_shown_has_every_format(crew: None, torkctl: Run, command: str, word: str, output: str) -> None:
    done = torkctl(*command.split(), "-o", output)
    assert done.returncode == 0, done.stderr
    match output:
        case "json":
            assert word in json.dumps(json.loads(done.stdout))
        case "jsonl":
            assert any(word in json.dumps(json.loads(line)) for line in done.stdout.splitlines())
        case "yaml":
            assert word in json.dumps(yaml.load(done.stdout, yaml.BaseLoader))
        case "name":
            assert word in done.stdout.split() or command == "audit"
        case _:
            assert word in done.stdout


def test_a_user_is_made_disabled_and_deleted(torkctl: Run, crew: None) -> None:
    assert torkctl("users", "create", "bob", stdin="tr0ub4dor-and\n").returncode == 0
    assert torkctl("users", "get", who="bob", password="tr0ub4dor-and").returncode == 0
    assert torkctl("roles", "give", "crew", "bob").returncode == 0
    assert "crew" in torkctl("users", "get", "bob").stdout
    assert torkctl("roles", "take", "crew", "bob").returncode == 0
    assert torkctl("roles", "take", "crew", "bob").returncode == 4
    assert torkctl("users", "disable", "bob").returncode == 0
    assert torkctl("jobs", who="bob", password="tr0ub4dor-and").returncode == 2
    assert torkctl("list", who="bob", password="tr0ub4dor-and").returncode == 6
    assert torkctl("users", "enable", "bob").returncode == 0
    refused = torkctl("users", "delete", "bob")
    assert refused.returncode == 2
    assert "bob" in refused.stderr
    assert torkctl("users", "delete", "bob", "bob", "--yes").returncode == 0
    assert torkctl("users", "get", "bob").returncode == 4


def test_a_password_is_changed_by_an_admin_and_by_its_owner(torkctl: Run, crew: None) -> None:
    assert torkctl("users", "create", "eve", stdin="first-password\n").returncode == 0
    assert torkctl("users", "passwd", "eve", stdin="second-password\n").returncode == 0
    wrong = torkctl("users", "passwd", who="eve", password="second-password", stdin="no\nthird-password\n")
    assert wrong.returncode == 2
    assert "not the present password" in wrong.stderr
    own = torkctl("users", "passwd", who="eve", password="second-password", stdin="second-password\nthird-password\n")
    assert own.returncode == 0, own.stderr
    assert "your password was changed" in own.stderr
    assert torkctl("list", who="eve", password="third-password").returncode == 0


def test_a_password_on_the_command_line_is_refused_and_not_repeated(torkctl: Run) -> None:
    done = torkctl("users", "create", "mallory", "--password", "in-the-clear")
    assert done.returncode == 2
    assert "in-the-clear" not in done.stderr
    assert "env:VARIABLE" in done.stderr


def test_a_key_is_told_once_and_is_useless_when_it_was_revoked(torkctl: Run, daemon: Daemon) -> None:
    made = torkctl("keys", "create", "nightly", "-o", "json")
    key = json.loads(made.stdout)["key"]
    assert key not in torkctl("keys", "-o", "json").stdout
    assert torkctl("keys", "revoke", "nightly", "-y").returncode == 0
    assert torkctl("list", who="", TORK_CLIENT_KEY=key).returncode == 6


EXIT_CODES = {
    "no-such-user": ("users get nobody", 4, "nobody"),
    "no-such-user-to-delete": ("users delete nobody -y", 4, "nobody"),
    "no-such-role": ("roles give nothing root", 4, "nothing"),
    "no-such-key": ("keys revoke nothing -y", 4, "nothing"),
    "known-already": ("users create ada --password env:TORK_CLIENT_PASSWORD", 2, "exists"),
    "built-in": ("roles delete admin -y", 2, "built in"),
    "no-password": ("users create zoe", 2, "it is empty"),
}


@pytest.mark.parametrize(("command", "code", "told"), EXIT_CODES.values(), ids=EXIT_CODES)
def test_an_ending_has_its_exit_code_and_says_why(torkctl: Run, crew: None, command: str, code: int, told: str) -> None:
    done = torkctl(*command.split())
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["users", "roles", "keys", "audit", "queues dead", "queues delete default -y"])
def test_what_only_admins_may_do_is_not_permitted_to_others(torkctl: Run, crew: None, command: str) -> None:
    done = torkctl(*command.split(), who="ada", password="battery-staple")
    assert done.returncode == 6
    assert "only admins" in done.stderr
