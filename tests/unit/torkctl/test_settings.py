"""Where settings come from, and where credentials go."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.support.fake_api import FakeApi
from tests.support.torkctl_runs import Torkctl
from tork.errors import SettingsError
from torkctl.settings import Credentials, Flags, load

ENVIRON = {"TORK_CLIENT_ENDPOINT": "http://environment:1"}


def _write_contexts(text: str, mode: int = 0o600) -> Path:
    path = Path.home() / ".config" / "torkctl" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(mode)
    return path


CONTEXTS = """
current = "prod"
[contexts.prod]
endpoint = "http://prod:1"
username = "ci"
password = "hunter2"
[contexts.dev]
endpoint = "http://dev:1"
key = "k3y"
"""


def test_flag_then_environment_then_context_then_config_then_default() -> None:
    assert load(Flags(), {}).endpoint == "http://localhost:8000"
    Path("config.toml").write_text('[client]\nendpoint = "http://config:1/"\n')
    assert load(Flags(), {}).endpoint == "http://config:1"
    _write_contexts(CONTEXTS)
    assert load(Flags(), {}).endpoint == "http://prod:1"
    assert load(Flags(), ENVIRON).endpoint == "http://environment:1"
    assert load(Flags(endpoint="http://flag:1"), ENVIRON).endpoint == "http://flag:1"


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("localhost:8877", "http://localhost:8877"),
        ("10.0.0.7:80", "http://10.0.0.7:80"),
        ("0.0.0.0:8000", "http://localhost:8000"),
        (":9000", "http://localhost:9000"),
        ("[::]:9000", "http://localhost:9000"),
    ],
)
def test_where_the_daemon_serves_is_where_the_server_is(address: str, endpoint: str) -> None:
    Path("config.toml").write_text(f'[coordinator]\naddress = "{address}"\n')
    assert load(Flags(), {}).endpoint == endpoint
    with Path("config.toml").open("a") as file:
        file.write('tls.cert = "server.pem"\n')
    assert load(Flags(), {}).endpoint == endpoint.replace("http:", "https:")
    Path("config.toml").write_text(f'[coordinator]\naddress = "{address}"\n[client]\nendpoint = "http://config:1"\n')
    assert load(Flags(), {}).endpoint == "http://config:1"


def test_a_username_needs_a_password() -> None:
    with pytest.raises(SettingsError, match="TORK_CLIENT_USERNAME is set without TORK_CLIENT_PASSWORD"):
        load(Flags(), {"TORK_CLIENT_USERNAME": "me"})


def test_a_named_context_is_used_with_its_own_credentials() -> None:
    _write_contexts(CONTEXTS)
    settings = load(Flags(context="dev"), {})
    assert (settings.endpoint, settings.credentials) == ("http://dev:1", Credentials(key="k3y"))
    assert load(Flags(), {}).credentials == Credentials(username="ci", password="hunter2")


@pytest.mark.parametrize("flags", [Flags(endpoint="http://evil:1"), Flags(endpoint="http://evil:1", context="prod")])
def test_credentials_of_a_context_never_go_to_another_endpoint(flags: Flags) -> None:
    _write_contexts(CONTEXTS)
    assert load(flags, {}).credentials == Credentials()


def test_credentials_of_the_environment_win() -> None:
    _write_contexts(CONTEXTS)
    environ = {"TORK_CLIENT_USERNAME": "me", "TORK_CLIENT_PASSWORD": "s3cret"}
    assert load(Flags(), environ).credentials == Credentials(username="me", password="s3cret")


@pytest.mark.parametrize(
    ("flags", "environ", "contexts", "told"),
    [
        (Flags(endpoint="ftp://x"), {}, "", "ftp://x"),
        (Flags(endpoint="http://me:hunter2@host"), {}, "", "credentials don't belong"),
        (Flags(endpoint="http://host:99999"), {}, "", "host:99999"),
        (Flags(output="xml"), {}, "", "right would be table"),
        (Flags(retry_for="soon"), {}, "", "--retry-for"),
        (Flags(), {"TORK_CLIENT_RETRY_FOR": "-1s"}, "", "TORK_CLIENT_RETRY_FOR"),
        (Flags(), {"TORK_CONFIG": "nowhere.toml"}, "", "nowhere.toml"),
        (Flags(context="staging"), {}, CONTEXTS, "dev, prod"),
        (Flags(context="prod"), {}, "", "does not exist"),
        (Flags(), {}, "current = ", "config.toml"),
        (Flags(), {}, 'current = "x"\n[contexts.x]\nendpiont = "y"', "endpiont"),
        (Flags(), {}, 'current = "x"\n[contexts.x]\nendpoint = 1', "endpoint"),
    ],
)
def test_what_can_not_be_used_is_refused_with_its_place(
    flags: Flags, environ: dict[str, str], contexts: str, told: str
) -> None:
    if contexts:
        _write_contexts(contexts)
    with pytest.raises(SettingsError, match=told) as refused:
        load(flags, environ)
    assert "hunter2" not in str(refused.value)


def test_credentials_that_others_can_read_are_refused() -> None:
    path = _write_contexts(CONTEXTS, mode=0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        load(Flags(), {})
    path.write_text('current = "x"\n[contexts.x]\nendpoint = "http://x:1"\n')
    assert load(Flags(), {}).endpoint == "http://x:1"


def test_credentials_are_not_shown_when_settings_are_printed() -> None:
    _write_contexts(CONTEXTS)
    assert "hunter2" not in repr(load(Flags(), {}))


@pytest.mark.parametrize(
    ("environ", "header"),
    [
        ({"TORK_CLIENT_KEY": "k3y"}, "Bearer k3y"),
        (
            {"TORK_CLIENT_USERNAME": "me", "TORK_CLIENT_PASSWORD": "pw"},
            "Basic " + base64.b64encode(b"me:pw").decode(),
        ),
        ({}, None),
    ],
    ids=["key", "password", "none"],
)
def test_credentials_are_sent_as_the_server_reads_them(
    fake_api: FakeApi, torkctl: Torkctl, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], header: str | None
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    torkctl("list")
    assert fake_api.requests[0].headers.get("authorization") == header


def test_global_options_are_taken_before_and_after_the_verb(fake_api: FakeApi, torkctl: Torkctl) -> None:
    fake_api.add_job("a" * 32)
    assert torkctl("-o", "name", "list").out == torkctl("list", "-o", "name").out == "a" * 32 + "\n"
    assert torkctl("-o", "json", "list", "-o", "name").out == "a" * 32 + "\n"
