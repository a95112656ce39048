"""What `torkd config` prints, and the table in the docs."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.unit.settings.conftest import Load
from torkd.settings import render_config, settings_table
from torkd.settings.model import KEYS
from torkd.settings.rendering import TABLE_MARKER

ROOT = Path(__file__).parents[3]


def _flat(table: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in table.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def test_every_key_has_one_line(load: Load) -> None:
    lines = render_config(load()).splitlines()

    assert len(lines) == len(KEYS)
    for line, key in zip(lines, KEYS, strict=True):
        assert line.startswith((f"{key} = ", f"# {key} is not set", f"{key}.default = "))


def test_output_is_a_configuration_that_means_the_same(load: Load) -> None:
    loaded = load('[worker]\nname = "a\\n\\"b\\" # \u20ac"\ndrain = "1h30m"\n[worker.queues]\n"my queue" = 3\n')

    again = load(render_config(loaded).replace("*****", "tork"), is_root=True)

    assert again.settings.worker == loaded.settings.worker
    assert again.settings.data == loaded.settings.data
    assert not again.warnings or all("durable" in warning for warning in again.warnings)


def test_line_tells_the_origin(load: Load) -> None:
    lines = render_config(
        load(
            '[worker.queues]\nvideo = 2\n[broker.kafka]\nurl = "k"',
            {"TORK_WORKER_NAME": "w", "TORK_BROKER_KAFKA_A_B": "1"},
        )
    ).splitlines()

    config = next(line for line in lines if line.startswith("worker.queues.video")).partition("  # ")[2]
    assert config.endswith("config.toml:2")
    assert 'worker.name = "w"  # environment variable TORK_WORKER_NAME' in lines
    assert 'worker.grace = "10s"  # default' in lines
    assert 'locker.type = "postgres"  # default (datastore.type)' in lines
    assert f'broker.kafka.url = "k"  # {config[:-1]}4' in lines
    assert 'broker.kafka.a.b = "1"  # environment variable TORK_BROKER_KAFKA_A_B' in lines


@pytest.mark.parametrize(
    ("key", "value", "printed"),
    [
        ("datastore.postgres.dsn", "host=db password=hunter2 user=u", "host=db password=***** user=u"),
        ("datastore.postgres.dsn", "password = 'a hunter2\\' b' host=db", "password = ***** host=db"),
        ("datastore.postgres.dsn", "password=a\\ hunter2 host=db", "password=***** host=db"),
        ("datastore.postgres.dsn", "password=a&hunter2 sslpassword=hunter2", "password=***** sslpassword=*****"),
        (
            "datastore.postgres.dsn",
            "postgres://u:hunter2@db/t?sslmode=require",
            "postgres://u:*****@db/t?sslmode=require",
        ),
        ("datastore.postgres.dsn", "postgres://u@db/t?password=hunter2", "postgres://u@db/t?password=*****"),
        ("datastore.postgres.dsn", "postgres://u:hunter/2:hunter2@db", "postgres://u:*****@db"),
        ("locker.postgres.dsn", "host=db password=hunter2", "host=db password=*****"),
        ("broker.rabbitmq.url", "amqp://u:hunter2@mq:1/", "amqp://u:*****@mq:1/"),
        ("broker.rabbitmq.management.url", "http://u:hunter2@mq:1/", "http://u:*****@mq:1/"),
        ("client.endpoint", "http://u:hunter2@tork", "http://u:*****@tork"),
        ("datastore.encryption.key", "hunter2", "*****"),
        ("middleware.webhook.secret", "hunter2", "*****"),
        ("middleware.web.keyauth.key", "hunter2", "*****"),
        ("broker.kafka.password", "hunter2", "*****"),
        ("broker.kafka.pool.url", "kafka://u:hunter2@k", "kafka://u:*****@k"),
    ],
)
def test_secrets_are_masked(key: str, value: str, printed: str, load: Load) -> None:
    quoted = value.replace("\\", "\\\\")
    text = render_config(load(f'{key} = "{quoted}"'))

    assert "hunter2" not in text
    assert _flat(tomllib.loads(text))[key] == printed


def test_each_of_several_secrets_is_masked(load: Load) -> None:
    text = render_config(load('datastore.encryption.older_keys = ["hunter2", "hunter3"]'))

    assert _flat(tomllib.loads(text))["datastore.encryption.older_keys"] == ["*****", "*****"]


def test_custom_values_of_every_kind_can_be_printed(load: Load) -> None:
    toml = (
        "[mounter.x]\n'a b' = [1, 2.5, nan]\nday = 2024-01-02\nat = 2024-01-02T03:04:05Z\nhuge = 0x"
        + "f" * 5_000
        + "\nempty = {}\ntables = [{a = 1, b = {}}]\n"
    )

    printed = render_config(load(toml, {"TORK_MOUNTER_X_RAW": "\udce9\x07"}))

    assert _flat(tomllib.loads(printed)).keys() >= {"mounter.x.a b", "mounter.x.day", "mounter.x.huge"}


def test_docs_have_the_table_of_settings() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

    assert page.partition(TABLE_MARKER)[2] == settings_table(), "run: python -m torkd.settings docs/configuration.md"


def test_every_setting_is_explained_in_a_phrase() -> None:
    for key in KEYS.values():
        assert len(key.kind.means) > 5, key.name
        assert "|" not in key.kind.means, key.name


def test_importing_settings_stays_cheap() -> None:
    heavy = {"structlog", "falcon", "gunicorn", "psycopg", "pika", "docker", "yaml", "typer", "difflib"}

    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, torkd.settings; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=ROOT,
    ).stdout.split()

    assert heavy.isdisjoint(loaded)
