from __future__ import annotations

import base64
import json
import logging
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.waiting import wait_until
from tork.errors import RuntimeFailure, TaskStopped
from tork.task import Registry
from torkd.runtime.containers.credentials import find_credentials
from torkd.runtime.containers.engine import Credentials
from torkd.runtime.containers.reference import parse_reference
from torkd.runtime.stopping import StopReason, StopSignal

SECRET = "hunter2"
HOST = "registry.example.com"
IMAGE = f"{HOST}/app"
HUB_KEY = "https://index.docker.io/v1/"
FOUND = Credentials(username="ann", password=SECRET)
TOKEN = Credentials(identity_token=SECRET)
ENCODED = base64.b64encode(f"ann:{SECRET}".encode()).decode()
ANSWER = json.dumps({"ServerURL": HOST, "Username": "ann", "Secret": SECRET})


class Machine:
    """A config file, and a PATH with nothing but the helpers that a test installs."""

    def __init__(self, directory: Path) -> None:
        self.config_path = directory / "config.json"
        self.programs = directory / "bin"
        self.programs.mkdir()
        self.asked = directory / "asked"
        """What helpers were asked, one a line: their name, what to do, of which registry."""
        self.environ = {"PATH": str(self.programs)}

    def write_config(self, config: object) -> None:
        self.config_path.write_text(json.dumps(config))

    def install(self, name: str, script: str) -> None:
        path = self.programs / f"docker-credential-{name}"
        path.write_text(f"#!/bin/sh\nread -r key\necho \"{name} $1 $key\" >>'{self.asked}'\n{script}\n")
        path.chmod(0o755)

    def install_answering(self, name: str, answer: str = ANSWER) -> None:
        self.install(name, f"echo '{answer}'")

    def find(self, image: str = IMAGE, registry: Registry | None = None, **options: Any) -> Credentials | None:
        reference = parse_reference(image)
        return find_credentials(reference, registry, self.config_path, environ=self.environ, **options)

    def questions(self) -> list[str]:
        return self.asked.read_text().splitlines() if self.asked.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def failure_of(action: Callable[[], object]) -> str:
    """The text of the failure; nothing that a traceback of it shows holds the secret."""
    with pytest.raises(RuntimeFailure) as failure:
        action()
    assert SECRET not in "".join(traceback.format_exception(failure.value))
    return str(failure.value)


def test_the_tasks_own_pair_comes_before_all_else(machine: Machine) -> None:
    machine.config_path.write_text("not JSON")
    found = machine.find(registry=Registry(username="bob", password="pw"))
    assert found == Credentials(username="bob", password="pw")


def test_a_registry_without_a_user_leaves_it_to_the_config(machine: Machine) -> None:
    machine.write_config({"auths": {HOST: {"auth": ENCODED}}})
    assert machine.find(registry=Registry(password="pw")) == FOUND


ENTRIES: dict[str, tuple[dict[str, Any] | None, Credentials | None]] = {
    "auth": ({"auth": ENCODED}, FOUND),
    "auth-in-lines": ({"auth": f"{ENCODED[:4]}\n{ENCODED[4:]}\n"}, FOUND),
    "auth-with-a-colon-in-the-password": (
        {"auth": base64.b64encode(b"ann:a:b").decode()},
        Credentials(username="ann", password="a:b"),
    ),
    "auth-padded-with-nul": ({"auth": base64.b64encode(f"ann:{SECRET}\0\0".encode()).decode()}, FOUND),
    "user-and-password": ({"username": "ann", "password": SECRET}, FOUND),
    "user-and-password-before-auth": ({"username": "ann", "password": SECRET, "auth": "eDp5"}, FOUND),
    "user-alone-and-auth": ({"username": "someone", "auth": ENCODED}, FOUND),
    "identity-token": ({"identitytoken": SECRET}, TOKEN),
    "identity-token-before-all": ({"identitytoken": SECRET, "username": "a", "password": "b", "auth": "eDp5"}, TOKEN),
    "more-than-credentials": ({"auth": ENCODED, "email": "ann@example.com"}, FOUND),
    "empty": ({}, None),
    "null": (None, None),
    "nulls": ({"auth": None, "username": None}, None),
    "user-without-password": ({"username": "ann"}, None),
}


@pytest.mark.parametrize(("entry", "expected"), ENTRIES.values(), ids=ENTRIES.keys())
def test_an_entry_of_auths_says(machine: Machine, entry: dict[str, Any] | None, expected: Credentials | None) -> None:
    machine.write_config({"auths": {HOST: entry}})
    assert machine.find() == expected


KEYS = {
    "host": (IMAGE, HOST),
    "https": (IMAGE, f"https://{HOST}"),
    "http": (IMAGE, f"http://{HOST}"),
    "slash": (IMAGE, f"https://{HOST}/"),
    "version-1": (IMAGE, f"https://{HOST}/v1/"),
    "version-2": (IMAGE, f"{HOST}/v2/"),
    "path": (IMAGE, f"{HOST}/some/path"),
    "port": ("registry.example.com:5000/app", "https://registry.example.com:5000/v2/"),
    "address": ("127.0.0.1:5000/app", "127.0.0.1:5000"),
    "hub": ("ubuntu", HUB_KEY),
    "hub-of-a-user": ("jrottenberg/ffmpeg", HUB_KEY),
    "hub-host": ("ubuntu", "docker.io"),
    "hub-index": ("ubuntu", "index.docker.io"),
    "hub-https": ("ubuntu", "https://index.docker.io"),
    "hub-version-2": ("ubuntu", "https://index.docker.io/v2/"),
    "hub-registry": ("ubuntu", "https://registry-1.docker.io"),
}


@pytest.mark.parametrize(("image", "key"), KEYS.values(), ids=KEYS.keys())
def test_a_key_of_auths_means_the_images_registry(machine: Machine, image: str, key: str) -> None:
    machine.write_config({"auths": {"other.example.com": {"auth": "eDp5"}, key: {"auth": ENCODED}}})
    assert machine.find(image) == FOUND


OTHER_KEYS = {
    "other-host": (IMAGE, "example.com"),
    "longer-host": (IMAGE, f"{HOST}.evil.example"),
    "host-in-the-path": (IMAGE, f"evil.example/{HOST}"),
    "host-as-the-user": (IMAGE, f"https://{HOST}@evil.example"),
    "other-port": ("registry.example.com:5000/app", HOST),
    "port-where-none-is": (IMAGE, f"{HOST}:5000"),
    "first-part-of-a-name": ("jrottenberg/ffmpeg", "jrottenberg"),
    "hub-token": ("ubuntu", "https://index.docker.io/v1/access-token"),
    "hub-for-another": (IMAGE, HUB_KEY),
}


@pytest.mark.parametrize(("image", "key"), OTHER_KEYS.values(), ids=OTHER_KEYS.keys())
def test_credentials_go_to_no_registry_but_theirs(machine: Machine, image: str, key: str) -> None:
    machine.write_config({"auths": {key: {"auth": ENCODED}}})
    assert machine.find(image) is None


def test_the_key_in_todays_form_comes_before_older_ones(machine: Machine) -> None:
    machine.write_config({"auths": {f"https://{HOST}/v1/": {"auth": "eDp5"}, HOST: {"auth": ENCODED}}})
    assert machine.find() == FOUND


def test_an_empty_entry_does_not_hide_one_in_an_older_form(machine: Machine) -> None:
    machine.write_config({"auths": {HOST: {}, f"https://{HOST}/v1/": {"auth": ENCODED}}})
    assert machine.find() == FOUND


NAMED_HELPERS: dict[str, dict[str, Any]] = {
    "for-the-host": {"credHelpers": {HOST: "mine"}, "credsStore": "other"},
    "for-all": {"credsStore": "mine"},
    "for-another-host-and-for-all": {"credHelpers": {"other.example.com": "other"}, "credsStore": "mine"},
    "before-auths": {"credsStore": "mine", "auths": {HOST: {"auth": "eDp5"}}},
}


@pytest.mark.parametrize("config", NAMED_HELPERS.values(), ids=NAMED_HELPERS.keys())
def test_the_helper_that_the_config_names_is_asked(machine: Machine, config: dict[str, Any]) -> None:
    machine.write_config(config)
    machine.install_answering("mine")
    machine.install("other", "exit 1")
    assert machine.find() == FOUND
    assert machine.questions() == [f"mine get {HOST}"]


@pytest.mark.parametrize("key", [HUB_KEY, "docker.io", "index.docker.io"])
def test_a_helper_for_the_hub_is_asked_by_dockers_key(machine: Machine, key: str) -> None:
    machine.write_config({"credHelpers": {key: "mine"}})
    machine.install_answering("mine")
    assert machine.find("ubuntu") == FOUND
    assert machine.questions() == [f"mine get {HUB_KEY}"]


def test_the_user_token_stands_for_an_identity_token(machine: Machine) -> None:
    machine.write_config({"credsStore": "mine"})
    machine.install_answering("mine", json.dumps({"Username": "<token>", "Secret": SECRET}))
    assert machine.find() == TOKEN


NOTHING_KNOWN = {
    "not-found": "echo 'credentials not found in native keychain'; exit 1",
    "empty-answer": 'echo \'{"ServerURL":"","Username":"","Secret":""}\'',
}


@pytest.mark.parametrize("script", NOTHING_KNOWN.values(), ids=NOTHING_KNOWN.keys())
def test_a_helper_that_knows_nothing_makes_the_pull_anonymous(machine: Machine, script: str) -> None:
    machine.write_config({"credsStore": "mine"})
    machine.install("mine", script)
    assert machine.find() is None


def test_a_named_helper_that_is_not_installed_makes_the_pull_anonymous(machine: Machine) -> None:
    machine.write_config({"credsStore": "mine"})
    assert machine.find() is None


@pytest.mark.parametrize("script", [None, NOTHING_KNOWN["not-found"]], ids=["not-installed", "not-found"])
def test_auths_are_asked_when_the_helper_does_not_know(machine: Machine, script: str | None) -> None:
    machine.write_config({"credsStore": "mine", "auths": {HOST: {"auth": ENCODED}}})
    if script is not None:
        machine.install("mine", script)
    assert machine.find() == FOUND


def test_a_host_may_be_taken_from_the_helper_of_all(machine: Machine) -> None:
    machine.write_config({"credHelpers": {HOST: ""}, "credsStore": "mine", "auths": {HOST: {"auth": ENCODED}}})
    machine.install("mine", "exit 1")
    assert machine.find() == FOUND


FAILING_HELPERS = {
    "complaint": ("echo 'the key chain is locked'; echo more; exit 1", "the key chain is locked"),
    "complaint-on-stderr": ("echo 'gpg: no tty' >&2; exit 2", "gpg: no tty"),
    "silent": ("exit 3", "exit status 3"),
    "killed": ("kill -9 $$", "exit status -9"),
    "secret-and-then-failing": (f"echo '{ANSWER}'; exit 1", "exit status 1"),
    "no-answer": ("exit 0", "its answer is not JSON with Username and Secret"),
    "no-json": (f"echo {SECRET}", "its answer is not JSON with Username and Secret"),
    "cut-json": (f'echo \'{{"Secret":"{SECRET}\'', "its answer is not JSON with Username and Secret"),
    "no-text": (f'printf \'{{"Secret":"{SECRET}\\377"}}\'', "its answer is not JSON with Username and Secret"),
    "other-json": (f"echo '[\"{SECRET}\"]'", "its answer is not JSON with Username and Secret"),
}


@pytest.mark.parametrize(("script", "reason"), FAILING_HELPERS.values(), ids=FAILING_HELPERS.keys())
def test_a_named_helper_that_fails_is_an_error_without_the_secret(machine: Machine, script: str, reason: str) -> None:
    machine.write_config({"credsStore": "mine"})
    machine.install("mine", script)
    assert failure_of(machine.find) == (
        f"docker-credential-mine failed for {HOST}: {reason} (right would be an answer to 'docker-credential-mine get')"
    )


def test_a_helper_that_is_no_program_is_an_error(machine: Machine) -> None:
    machine.write_config({"credsStore": "mine"})
    (machine.programs / "docker-credential-mine").write_text("#!/nowhere/sh\n")
    (machine.programs / "docker-credential-mine").chmod(0o755)
    assert failure_of(machine.find).startswith("docker-credential-mine can't be started: No such file or directory")


@pytest.mark.parametrize("name", ["../mine", "/bin/sh", "a\0b"], ids=repr)
def test_a_helper_outside_the_path_is_refused(machine: Machine, name: str) -> None:
    machine.write_config({"credsStore": name})
    assert "can't be the name of a credential helper (right would be such as 'pass')" in failure_of(machine.find)


HANGING = "/bin/sleep 1000 & echo $! >{pids}; echo $$ >>{pids}; wait"


def are_gone(pids: Path) -> bool:
    return all(
        not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        for pid in map(int, pids.read_text().split())
    )


def test_a_helper_that_hangs_is_ended_with_all_it_started(machine: Machine, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    machine.write_config({"credsStore": "mine"})
    machine.install("mine", HANGING.format(pids=pids))
    text = failure_of(lambda: machine.find(helper_seconds=0.5))
    assert text.startswith(f"docker-credential-mine failed for {HOST}: no answer within 0.5 seconds")
    wait_until(lambda: are_gone(pids))


def test_a_run_that_is_stopped_does_not_wait_for_a_helper(machine: Machine, tmp_path: Path) -> None:
    pids, stop = tmp_path / "pids", StopSignal()
    machine.write_config({"credsStore": "mine"})
    machine.install("mine", HANGING.format(pids=pids))
    errors: list[Exception] = []

    def find() -> None:
        try:
            machine.find(stop=stop)
        except RuntimeFailure as error:
            errors.append(error)

    finder = threading.Thread(target=find)
    finder.start()
    wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    stop.set(StopReason.CANCELLED, "the task was cancelled")
    finder.join(timeout=20)
    assert [(type(error), str(error)) for error in errors] == [(TaskStopped, "the task was cancelled")]
    wait_until(lambda: are_gone(pids))


def test_a_helper_sees_only_what_it_may_need_of_the_environment(machine: Machine, tmp_path: Path) -> None:
    needed = {"HOME": "/home/ann", "XDG_RUNTIME_DIR": "/run/user/1", "AWS_PROFILE": "ci", "GNUPGHOME": "/gpg"}
    machine.environ |= {**needed, "TORK_BROKER_PASSWORD": SECRET, "DATABASE_URL": SECRET}
    machine.write_config({"credsStore": "mine"})
    machine.install("mine", f"/usr/bin/env >'{tmp_path}/env'; echo '{ANSWER}'")
    assert machine.find() == FOUND
    seen = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    shell_adds = {"PWD", "SHLVL", "_", "OLDPWD"}
    assert {name: value for name, value in seen.items() if name not in shell_adds} == {
        **needed,
        "PATH": machine.environ["PATH"],
    }


NO_HELPER_NAMED = {"no-file": None, "empty-file": "", "no-entry": '{"auths": {}}', "empty-entry": '{"credsStore": ""}'}


@pytest.mark.parametrize("content", NO_HELPER_NAMED.values(), ids=NO_HELPER_NAMED.keys())
@pytest.mark.parametrize("installed", [("secretservice",), ("pass", "secretservice")], ids=["one", "both"])
def test_without_a_named_helper_the_platforms_is_asked(
    machine: Machine, content: str | None, installed: tuple[str, ...]
) -> None:
    if content is not None:
        machine.config_path.write_text(content)
    for name in installed:
        machine.install_answering(name)
    assert machine.find() == FOUND
    assert machine.questions() == [f"{installed[0]} get {HOST}"]


def test_without_any_helper_and_config_the_pull_is_anonymous(machine: Machine) -> None:
    assert machine.find() is None


def test_the_platforms_helper_is_not_asked_after_a_named_one(machine: Machine) -> None:
    machine.write_config({"credsStore": "mine"})
    machine.install_answering("pass")
    assert machine.find() is None
    assert machine.questions() == []


def test_the_platforms_helper_is_not_asked_for_a_host_that_has_none(machine: Machine) -> None:
    machine.write_config({"credHelpers": {HOST: ""}})
    machine.install_answering("pass")
    assert machine.find() is None
    assert machine.questions() == []


def test_the_platforms_helper_is_not_asked_when_auths_know(machine: Machine) -> None:
    machine.write_config({"auths": {HOST: {"auth": ENCODED}}})
    machine.install_answering("pass", json.dumps({"Username": "other", "Secret": "other"}))
    assert machine.find() == FOUND


def test_the_platforms_helper_may_fail_as_nobody_named_it(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    machine.install("secretservice", "echo 'Cannot autolaunch D-Bus without X11 $DISPLAY'; exit 1")
    with caplog.at_level(logging.WARNING):
        assert machine.find() is None
    assert f"docker-credential-secretservice failed for {HOST}: Cannot autolaunch D-Bus" in caplog.text


def test_a_run_that_is_stopped_while_the_platforms_helper_thinks_is_stopped(machine: Machine) -> None:
    stop = StopSignal()
    stop.set(StopReason.CANCELLED, "the task was cancelled")
    machine.install("pass", "/bin/sleep 1000")
    with pytest.raises(TaskStopped, match=r"^the task was cancelled$"):
        machine.find(stop=stop)


UNUSABLE = {
    "no-json": SECRET.encode(),
    "cut": f'{{"auths": {{"{HOST}": {{"auth": "{SECRET}'.encode(),
    "no-text": f'{{"auths": {{"{HOST}": {{"auth": "{SECRET}'.encode() + b'\xff"}}}',
    "no-object": b"[]",
    "auths-of-another-kind": json.dumps({"auths": [SECRET]}).encode(),
    "entry-of-another-kind": json.dumps({"auths": {HOST: SECRET}}).encode(),
    "auth-of-another-kind": json.dumps({"auths": {HOST: {"auth": [SECRET]}}}).encode(),
    "helpers-of-another-kind": json.dumps({"credHelpers": SECRET}).encode(),
    "helper-of-another-kind": json.dumps({"credHelpers": {HOST: [SECRET]}}).encode(),
    "store-of-another-kind": json.dumps({"credsStore": {SECRET: 1}}).encode(),
    "endlessly-nested": b'{"auths":' + b'{"a":' * 100_000,
}


@pytest.mark.parametrize("content", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_config_that_cant_be_used_is_named_without_its_content(machine: Machine, content: bytes) -> None:
    machine.config_path.write_bytes(content)
    text = failure_of(machine.find)
    assert text.startswith(f"{machine.config_path} can't be used: ")
    assert text.endswith(" (right would be docker's config.json)")


def test_a_config_that_cant_be_read_is_named(machine: Machine) -> None:
    machine.config_path.mkdir()
    assert failure_of(machine.find) == (
        f"the registry credentials in {machine.config_path} can't be read: Is a directory "
        "(right would be docker's config.json)"
    )


WRONG_AUTHS = {
    "no-base64": SECRET + "!",
    "wrong-padding": ENCODED.rstrip("="),
    "no-text": base64.b64encode(b"\xff:" + SECRET.encode()).decode(),
    "no-colon": base64.b64encode(SECRET.encode()).decode(),
    "no-user": base64.b64encode(f":{SECRET}".encode()).decode(),
    "other-letters": "bücher",
}


@pytest.mark.parametrize("auth", WRONG_AUTHS.values(), ids=WRONG_AUTHS.keys())
def test_an_auth_that_cant_be_read_is_named_without_its_content(machine: Machine, auth: str) -> None:
    machine.write_config({"auths": {HOST: {"auth": auth}}})
    text = failure_of(machine.find)
    assert text == (f"auth of '{HOST}' in {machine.config_path} can't be read (right would be base64 of user:password)")


def test_a_wrong_auth_of_another_registry_is_nobodys_business(machine: Machine) -> None:
    machine.write_config({"auths": {"other.example.com": {"auth": "!"}, HOST: {"auth": ENCODED}}})
    assert machine.find() == FOUND


PASSWORDS: dict[str, Mapping[str, Any]] = {
    "password": {"auths": {HOST: {"auth": ENCODED}}},
    "token": {"auths": {HOST: {"identitytoken": SECRET}}},
}


@pytest.mark.parametrize("config", PASSWORDS.values(), ids=PASSWORDS.keys())
def test_what_was_found_does_not_show_its_secret(
    machine: Machine, config: Mapping[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    machine.write_config(config)
    with caplog.at_level(logging.DEBUG):
        found = machine.find()
    assert found is not None
    assert SECRET not in repr(found)
    assert SECRET not in caplog.text
