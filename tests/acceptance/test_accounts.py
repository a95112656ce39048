"""A daemon that asks who somebody is, over HTTPS, as an operator sets it up and as its users see it."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.certificates import CA_FILE, CERTIFICATE_FILE, KEY_FILE, make_certificates
from tests.support.daemon import Daemon

pytestmark = pytest.mark.postgres

PASSWORDS = {"ada": "correct-horse", "bob": "battery-staple", "eve": "tr0ub4dor"}
JOB = """
name: for the crew
permissions: [{role: crew}]
tasks: [{name: t, run: "echo hello from the crew; sleep 0.2; echo and bye"}]
"""


class Secured:
    """The daemon, and everybody's ways to it."""

    def __init__(self, daemon: Daemon, authority: Path) -> None:
        self.daemon = daemon
        self._authority = authority
        self.trust = ssl.create_default_context(cafile=authority)
        told = re.findall(r"until the next start the key is (\S+)", daemon.log.read_text())
        assert len(told) == 1
        self.key: str = told[0]

    def torkd(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A command on the machine of the daemon, with its configuration."""
        return self._run([sys.executable, "-m", "torkd", *words], self.daemon.environment, stdin)

    def torkctl(self, who: str, *words: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """What a user types. Nobody has an empty name."""
        given = {"TORK_CLIENT_USERNAME": who, "TORK_CLIENT_PASSWORD": PASSWORDS[who]} if who else {}
        environment = self.daemon.client_environment() | {"SSL_CERT_FILE": str(self._authority)} | given | variables
        return self._run([sys.executable, "-m", "torkctl", "--retry-for", "1s", *words], environment, stdin)

    def get(self, who: str, path: str) -> Any:
        """A document."""
        answer = httpx2.get(self.daemon.endpoint + path, auth=(who, PASSWORDS[who]), verify=self.trust)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def _run(self, command: list[str], environment: dict[str, str], stdin: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=environment,
            cwd=self.daemon.base,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    place = tmp_path_factory.mktemp("certificates")
    make_certificates(place)
    daemon = Daemon(
        {
            "TORK_MIDDLEWARE_WEB_BASICAUTH_ENABLED": "true",
            "TORK_MIDDLEWARE_WEB_KEYAUTH_ENABLED": "true",
            "TORK_COORDINATOR_TLS_CERT": str(place / CERTIFICATE_FILE),
            "TORK_COORDINATOR_TLS_KEY": str(place / KEY_FILE),
            "TORK_LOGGING_LEVEL": "debug",
        }
    )
    daemon.endpoint = f"https://localhost:{daemon.port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(place / CA_FILE))
        with daemon:
            secured = Secured(daemon, place / CA_FILE)
            assert secured.torkd("role", "create", "crew").returncode == 0
            for name, options in (("ada", ["--admin"]), ("bob", ["--role", "crew"]), ("eve", [])):
                made = secured.torkd("user", "create", name, *options, "--password-file", "-", stdin=PASSWORDS[name])
                assert made.returncode == 0, made.stderr
            yield secured


def test_accounts_are_made_on_the_machine_of_the_daemon(secured: Secured) -> None:
    listed = secured.torkd("user", "list")
    assert listed.stdout == "ada\tenabled\tadmin\nbob\tenabled\tcrew\neve\tenabled\t-\nguest\tdisabled\t-\n"
    again = secured.torkd("user", "create", "ada", stdin="long-enough")
    assert (again.returncode, again.stderr) == (2, "torkd: user 'ada' already exists\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("user", "create", "a:b"), "torkd: the username has ':', '/' or signs"),
        (("user", "disable", "nobody"), "torkd: user 'nobody' not found (torkd user list tells those that exist)"),
        (("user", "grant", "ada", "crwe"), "torkd: role 'crwe' not found (torkd role list tells those that exist)"),
        (("user", "revoke", "ada", "admin"), "torkd: ada is the last admin"),
        (("user", "passwd", "ada", "--password-file", "/nowhere"), "torkd: --password-file /nowhere can't be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_can_not_be_is_told_in_one_sentence(secured: Secured, words: tuple[str, ...], told: str) -> None:
    ran = secured.torkd(*words, stdin="very-secret")
    assert ran.returncode in {1, 2}
    assert ran.stderr.startswith(told)
    assert ran.stderr.count("\n") == 1
    assert "secret" not in ran.stderr


@pytest.mark.parametrize("words", [("create", "zoe"), ("passwd", "ada")], ids=" ".join)
def test_a_password_that_is_too_short_changes_nothing(secured: Secured, words: tuple[str, ...]) -> None:
    ran = secured.torkd("user", *words, stdin="7-signs\n")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "torkd: the password is too short (right would be at least 8 characters)\n"
    assert "zoe" not in secured.torkd("user", "list").stdout
    assert secured.get("ada", "/users/me")["username"] == "ada"


def test_a_password_has_to_be_there(secured: Secured) -> None:
    ran = secured.torkd("user", "create", "x")
    assert ran.returncode == 2
    assert ran.stderr.startswith("torkd: there is no password (right would be --password-file FILE")


def test_the_key_of_the_start_is_told_once_and_may_do_everything(secured: Secured) -> None:
    listed = secured.torkctl("", "list", TORK_CLIENT_KEY=secured.key)
    assert listed.returncode == 0
    assert secured.torkctl("", "doctor", TORK_CLIENT_KEY=secured.key).returncode == 0
    assert secured.daemon.log.read_text().count(secured.key) == 1


@pytest.mark.parametrize(
    "variables",
    [{"TORK_CLIENT_USERNAME": "ada", "TORK_CLIENT_PASSWORD": "wrong"}, {"TORK_CLIENT_KEY": "wrong"}],
    ids=["password", "key"],
)
def test_wrong_credentials_are_exit_code_6_and_one_sentence(secured: Secured, variables: dict[str, str]) -> None:
    ran = secured.torkctl("", "list", **variables)
    assert (ran.returncode, ran.stderr.count("\n")) == (6, 1)
    assert "the server refused the credentials: Unauthorized" in ran.stderr


def test_who_sends_none_is_told_what_to_send(secured: Secured) -> None:
    ran = secured.torkctl("", "list")
    assert (ran.returncode, ran.stderr.count("\n")) == (6, 1)
    assert (
        "the server asks who you are: Unauthorized (right would be TORK_CLIENT_USERNAME and TORK_CLIENT_PASSWORD"
        in ran.stderr
    )


def test_torkctl_says_what_is_wrong_with_a_certificate_and_with_a_scheme(secured: Secured) -> None:
    ran = secured.torkctl("ada", "list", "--retry-for", "0s", SSL_CERT_FILE="")
    assert ran.returncode == 5
    assert "is not trusted: unable to get local issuer certificate (right would be SSL_CERT_FILE=FILE" in ran.stderr
    plain = secured.daemon.endpoint.replace("https:", "http:")
    ran = secured.torkctl("ada", "list", "--retry-for", "0s", "-e", plain)
    assert ran.returncode == 5
    assert "if it speaks TLS, its endpoint begins with https://" in ran.stderr


def test_a_job_is_seen_by_those_it_names_and_followed_over_https(secured: Secured) -> None:
    ran = secured.torkctl("bob", "submit", "-", "--follow", stdin=JOB)
    assert ran.returncode == 0, ran.stderr
    assert "hello from the crew" in ran.stdout
    assert "and bye" in ran.stdout
    (job,) = secured.get("bob", "/jobs?q=crew")["items"]
    assert job["createdBy"]["username"] == "bob"
    assert secured.torkctl("ada", "get", job["id"]).returncode == 0
    hidden = secured.torkctl("eve", "get", job["id"])
    assert (hidden.returncode, hidden.stdout) == (4, "")
    assert secured.get("eve", "/jobs")["items"] == []
    refused = secured.torkctl("eve", "doctor")
    assert (refused.returncode, refused.stderr.count("\n")) == (6, 1)


def test_a_named_key_is_an_account_of_its_own(secured: Secured) -> None:
    made = secured.torkd("key", "create", "ci", "--role", "crew")
    key = made.stdout.strip()
    assert secured.torkctl("", "submit", "-", "--wait", stdin=JOB, TORK_CLIENT_KEY=key).returncode == 0
    assert {job["createdBy"]["username"] for job in secured.get("bob", "/jobs")["items"]} >= {"key:ci"}
    assert "ci\tenabled\tcrew" in secured.torkd("key", "list").stdout
    assert key not in secured.daemon.log.read_text()


def test_who_did_what_is_told_to_admins(secured: Secured) -> None:
    entries = secured.get("ada", "/audit?size=100")["items"]
    told = {(entry["username"], entry["action"], entry.get("target", "")) for entry in entries}
    assert {("torkd", "user.create", "ada"), ("torkd", "role.create", "crew")} <= told
    submitted = [entry for entry in entries if entry["action"] == "job.submit" and entry["username"] == "bob"]
    assert secured.get("ada", f"/jobs/{submitted[0]['target']}")["createdBy"]["username"] == "bob"
    assert submitted[0]["address"] == "127.0.0.1"
    assert not any(password in json.dumps(entries) for password in PASSWORDS.values())


def test_plain_http_at_the_door_of_https_is_no_failure(secured: Secured) -> None:
    with pytest.raises(httpx2.HTTPError):
        httpx2.get(f"http://127.0.0.1:{secured.daemon.port}/health")
    assert secured.get("ada", "/jobs")["number"] == 1
    assert "failed unexpectedly" not in secured.daemon.log.read_text()


def test_many_streams_at_once_over_https(secured: Secured) -> None:
    """An idle stream costs no thread, encrypted or not: requests are answered beside more of them than there are threads."""
    ended = threading.Event()
    opened = threading.Semaphore(0)

    def follow() -> None:
        with httpx2.stream(
            "GET",
            secured.daemon.endpoint + "/events",
            auth=("ada", PASSWORDS["ada"]),
            verify=secured.trust,
            timeout=30,
        ) as answer:
            next(answer.iter_lines())
            opened.release()
            ended.wait(30)

    followers = [threading.Thread(target=follow) for _ in range(80)]
    for follower in followers:
        follower.start()
    try:
        assert all(opened.acquire(timeout=30) for _ in followers)
        assert secured.get("bob", "/jobs")["number"] == 1
    finally:
        ended.set()
        for follower in followers:
            follower.join(30)
