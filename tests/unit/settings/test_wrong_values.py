"""What can't be used is refused with the place, the key, the value and what would be right, all at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.settings.conftest import Load
from tork.errors import SettingsError

WRONG = [
    ("logging.level", '"loud"', "invalid logging level: loud (right would be debug, info, warn, warning or error)"),
    ("logging.level", '"DEBUG"', "invalid logging level: DEBUG"),
    ("logging.format", '"xml"', "invalid logging format: xml (right would be pretty or json)"),
    ("broker.type", '"kafka"', "invalid broker type: kafka (right would be inmemory or rabbitmq)"),
    ("datastore.type", '"mysql"', "unknown datastore type: mysql (right would be postgres)"),
    ("locker.type", '"redis"', "unknown locker type: redis (right would be inmemory or postgres)"),
    ("runtime.type", '"chroot"', "unknown runtime type: chroot (right would be docker, podman, shell or auto)"),
    ("broker.rabbitmq.url", '"http://mq"', "right would begin with amqp:// or amqps://"),
    ("broker.rabbitmq.url", '"amqp://[mq"', "right would begin with amqp://"),
    ("broker.rabbitmq.queue.type", '"stream"', "invalid queue type: stream"),
    ("client.endpoint", '"localhost:8000"', "right would begin with http:// or https://"),
    ("client.endpoint", '"http://tork:port"', "right would begin with http:// or https://"),
    ("coordinator.address", '"localhost"', "right would be host:port"),
    ("coordinator.address", '"localhost:65536"', "right would be host:port"),
    ("worker.address", '"::1:80"', "right would be host:port"),
    ("coordinator.processes", "0", "right would be a whole number from 1 to 256"),
    ("coordinator.queues.jobs", '"many"', "right would be a whole number from 1"),
    ("middleware.web.ratelimit.rps", "1.5", "right would be a whole number"),
    ("middleware.web.ratelimit.rps", "true", "right would be a whole number"),
    ("middleware.web.ratelimit.rps", '"1_000"', "right would be a whole number"),
    ("middleware.web.bodylimit", '"5 apples"', "not a size"),
    ("middleware.web.bodylimit", "0", "right would be at least 1 bytes"),
    ("middleware.web.bodylimit", "[]", "not a size"),
    ("middleware.web.logger.enabled", '"yes"', "right would be true or false"),
    ("middleware.web.logger.enabled", "1", "right would be true or false"),
    ("middleware.web.logger.level", '"LOUD"', "invalid request log level: LOUD"),
    ("middleware.web.cors.origins", "5", "not a list"),
    ("middleware.web.cors.origins", "[true]", "not a text"),
    ("middleware.task.hostenv.vars", '["A:B:C"]', "invalid env var spec: A:B:C (right would be NAME or NAME:ALIAS)"),
    ("middleware.task.hostenv.vars", '[":B"]', "invalid env var spec: :B"),
    ("worker.name", "false", "right would be a text in quotes"),
    ("worker.name", '"a\\u0000"', "without NUL characters"),
    ("worker.name", "{a = 1}", "right would be a text in quotes"),
    ("worker.drain", '"soon"', "right would be such as '30s'"),
    ("worker.drain", '"-1s"', "right would be at least 0s"),
    ("worker.drain", "true", "not a duration"),
    ("datastore.retention.jobs.duration", '"30d"', "right would be such as '720h': there is no unit for days"),
    ("worker.heartbeat", '"0s"', "right would be at least 1ms"),
    ("worker.lease", '"10s"', "too short for worker.heartbeat"),
    ("worker.logs.max", '"64X"', "not a size"),
    ("worker.queues.video", "0", "right would be a whole number from 1"),
    ("worker.queues.video", '"two"', "right would be a whole number from 1"),
    ("worker.queues.video", "{a = 1}", "right would be a whole number from 1"),
    ("worker.limits.cpus", '"all"', "not a number of processors"),
    ("worker.limits.memory", '"1x"', "not an amount of memory"),
    ("worker.limits.timeout", '"0s"', "not a time limit"),
    ("datastore.retention.logs.duration", '"59s"', "right would be at least 1m"),
    ("datastore.retention.jobs.duration", '"1s"', "right would be at least 1m"),
    ("datastore.postgres.max_open_conns", "0", "right would be a whole number from 1"),
    ("datastore.postgres.max_open_conns", "99999999999999999999999", "right would be a whole number from 1"),
    ("runtime.docker.image.ttl", '"Never"', "not a duration (right would be such as '30s', '1h30m', or 'never')"),
    ("worker.grace", '"never"', "not a duration"),
    ("mounts.bind.sources", '["/srv", "data"]', "not an absolute path (right would be such as '/srv/data')"),
    ("mounts.bind.sources", '"/srv,"', "not an absolute path"),
    ("mounts.bind.sources", '["~/data"]', "not an absolute path"),
    ("runtime.shell.cmd", "[]", "right would be at least 1"),
    ("runtime.shell.uid", '"root"', "right would be a number, or '-'"),
]


@pytest.mark.parametrize(("key", "toml", "reason"), WRONG, ids=[f"{key} = {toml}" for key, toml, _ in WRONG])
def test_wrong_value_in_a_file_is_refused(
    key: str, toml: str, reason: str, load: Load, places: Mapping[str, Path]
) -> None:
    with pytest.raises(SettingsError) as refused:
        load(f"\n{key} = {toml}\n")

    message = str(refused.value)
    assert message.startswith(f"{places['cwd'] / 'config.toml'}:2: {key} = ")
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("variable", "text", "refused_key", "reason"),
    [
        (
            "TORK_WORKER_DRAIN",
            "soon",
            'worker.drain = "soon"',
            "not a duration (right would be such as '30s', '5m' or '1h30m')",
        ),
        (
            "TORK_COORDINATOR_API_ENDPOINTS_USERS",
            "off",
            'coordinator.api.endpoints.users = "off"',
            "not a boolean (right would be true or false)",
        ),
        (
            "TORK_WORKER_QUEUES_VIDEO",
            "x",
            'worker.queues.video = "x"',
            "not usable (right would be a whole number from 1 to 100000)",
        ),
        (
            "TORK_WORKER_NAME",
            "caf\udce9",
            'worker.name = "caf\\\\udce9"',
            "not readable (right would be UTF-8 text without NUL characters)",
        ),
    ],
    ids=["duration", "bool", "entry of a table", "not UTF-8"],
)
def test_wrong_variable_is_refused_by_name(variable: str, text: str, refused_key: str, reason: str, load: Load) -> None:
    with pytest.raises(SettingsError) as refused:
        load("", {variable: text})

    assert str(refused.value) == f"environment variable {variable}: {refused_key}: {reason}"


@pytest.mark.parametrize(
    ("variable", "table", "key"),
    [
        ("TORK_BROKER", "broker", "TORK_BROKER_TYPE"),
        ("TORK_WORKER_QUEUES", "worker.queues", "TORK_WORKER_QUEUES_<NAME>"),
        ("TORK_MOUNTER", "mounter", "TORK_MOUNTER_<NAME>"),
    ],
)
def test_variable_does_not_replace_a_table(variable: str, table: str, key: str, load: Load) -> None:
    with pytest.raises(SettingsError) as refused:
        load("", {variable: "x"})

    assert str(refused.value) == (
        f"environment variable {variable}: {table} is a table and takes no value of its own"
        f" (right would be one of its keys, such as {key})"
    )


@pytest.mark.parametrize("toml", ["broker = 5", "worker.queues = 3", "mounter = 'x'"])
def test_value_in_place_of_a_table_is_refused(toml: str, load: Load) -> None:
    with pytest.raises(SettingsError, match="is a table and takes no value of its own"):
        load(toml)


def test_all_wrong_values_are_told_at_once(load: Load) -> None:
    with pytest.raises(SettingsError) as refused:
        load('worker.drain = "soon"\nlogging.level = "loud"\n', {"TORK_WORKER_GRACE": "never"})

    assert [line.split(" = ")[0].rpartition(" ")[2] for line in str(refused.value).splitlines()] == [
        "worker.drain",
        "logging.level",
        "worker.grace",
    ]


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("TORK_BROKER_RABBITMQ_URL", "amqp:/user:hunter2@mq"),
        ("TORK_BROKER_RABBITMQ_URL", "http://user:hunter2@mq"),
        ("TORK_DATASTORE_ENCRYPTION_KEY", "hunter2\0"),
        ("TORK_MIDDLEWARE_WEBHOOK_SECRET", "hunter2\udc80"),
    ],
)
def test_refusal_does_not_show_a_secret(variable: str, text: str, load: Load) -> None:
    with pytest.raises(SettingsError) as refused:
        load("", {variable: text})

    assert "hunter2" not in str(refused.value)


def test_wrong_default_type_is_not_told_twice(load: Load) -> None:
    with pytest.raises(SettingsError) as refused:
        load('datastore.type = "mysql"')

    assert len(str(refused.value).splitlines()) == 1
