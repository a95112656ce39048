"""Every key of the reference configuration: its default, and how it reads from a file and from a variable."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.unit.settings.conftest import Load
from torkd.settings.collecting import variable_of
from torkd.settings.kinds import NEVER
from torkd.settings.model import KEYS


class Case(NamedTuple):
    key: str
    default: Any
    toml: str
    text: str
    value: Any
    value_of_text: Any = ...
    # where the text says something else than the TOML value


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


HOUR = seconds(3600)
DSN = "host=localhost user=tork password=tork dbname=tork port=5432 sslmode=disable"
POSTGRES = [
    Case(f"{table}.postgres.{name}", default, toml, text, value)
    for table in ("datastore", "locker")
    for name, default, toml, text, value in (
        ("dsn", DSN, '"host=db"', "host=db", "host=db"),
        ("max_open_conns", 25, "5", "5", 5),
        ("max_idle_conns", 25, "0", "0", 0),
        ("conn_max_lifetime", HOUR, '"2h"', "2h", 2 * HOUR),
        ("conn_max_idle_time", seconds(300), '"0s"', "0s", seconds(0)),
    )
]
ENDPOINTS = [
    Case(f"coordinator.api.endpoints.{name}", True, "false", "F", False)
    for name in ("health", "jobs", "tasks", "nodes", "queues", "metrics", "users")
]
CONSUMERS = [
    Case(f"coordinator.queues.{name}", 1, "3", "3", 3)
    for name in ["completed", "error", "pending", "started", "heartbeat", "jobs", "logs", "progress", "redeliveries"]
]
OFF = [
    Case(key, False, "true", "True", True)
    for key in (
        "broker.rabbitmq.durable.queues",
        "middleware.web.cors.enabled",
        "middleware.web.cors.credentials",
        "middleware.web.basicauth.enabled",
        "middleware.web.keyauth.enabled",
        "middleware.web.ratelimit.enabled",
        "mounts.bind.allowed",
        *(f"runtime.{name}.privileged" for name in ("docker", "podman")),
        *(f"runtime.{name}.image.verify" for name in ("docker", "podman")),
        *(f"runtime.{name}.host.network" for name in ("docker", "podman")),
    )
]
ENGINES = [
    Case(f"runtime.{name}.{key}", default, toml, text, value, value_of_text)
    for name in ("docker", "podman")
    for key, default, toml, text, value, value_of_text in (
        ("config", Path("~/.docker/config.json"), '"/c.json"', "/c.json", Path("/c.json"), ...),
        ("image.ttl", 72 * HOUR, '"24h"', "never", 24 * HOUR, NEVER),
        ("image.keep", (), '["alpine:*"]', "a,b", ("alpine:*",), ("a", "b")),
        ("networks", (), '["backend"]', "backend,cache", ("backend",), ("backend", "cache")),
    )
]
ON = [
    Case(key, True, "false", "0", False)
    for key in ("middleware.web.logger.enabled", "middleware.job.redact.enabled", "middleware.webhook.allow_private")
]
CASES = [
    Case("cli.banner.mode", "console", '"off"', "off", "off"),
    Case("client.endpoint", "http://localhost:8000", '"https://tork:1"', "https://tork:1", "https://tork:1"),
    Case("endpoint", None, '"http://old"', "http://old", "http://old"),
    Case("logging.level", "debug", '"warn"', "warning", "warn", "warning"),
    Case("logging.format", "pretty", '"json"', "json", "json"),
    Case("data.dir", Path("~/.local/share/tork"), '"/srv/tork"', "/srv/tork", Path("/srv/tork")),
    Case("broker.type", "inmemory", '"rabbitmq"', "rabbitmq", "rabbitmq"),
    Case("broker.rabbitmq.url", "amqp://guest:guest@localhost:5672/", '"amqps://mq/v"', "amqps://mq/v", "amqps://mq/v"),
    Case("broker.rabbitmq.consumer.timeout", seconds(1800), '"1h30m"', "1h30m", seconds(5400)),
    Case("broker.rabbitmq.management.url", "http://localhost:15672", '"http://mq:1"', "http://mq:1", "http://mq:1"),
    Case("broker.rabbitmq.queue.type", "classic", '"quorum"', "quorum", "quorum"),
    Case("datastore.type", "postgres", '"postgres"', "postgres", "postgres"),
    Case("datastore.retention.logs.duration", 168 * HOUR, '"1m"', "60s", seconds(60)),
    Case("datastore.retention.jobs.duration", 8760 * HOUR, '"1m"', "60000ms", seconds(60)),
    Case("datastore.retention.audit.duration", 2160 * HOUR, '"48h"', "1m", 48 * HOUR, seconds(60)),
    Case("datastore.encryption.key", None, '"k"', "k", "k"),
    Case("datastore.encryption.older_keys", (), '["a", "b"]', "a,b", ("a", "b")),
    Case("locker.type", "postgres", '"inmemory"', "inmemory", "inmemory"),
    Case("coordinator.address", None, '"localhost:9"', "localhost:9", "localhost:9"),
    Case("coordinator.name", "Coordinator", '"c"', "c", "c"),
    Case("coordinator.processes", 1, "2", "2", 2),
    Case("coordinator.tls.cert", None, '"/c.pem"', "/c.pem", Path("/c.pem")),
    Case("coordinator.tls.key", None, '"/c.key"', "/c.key", Path("/c.key")),
    Case("middleware.web.cors.origins", ("*",), '["a", "b"]', "a,b", ("a", "b")),
    Case("middleware.web.cors.methods", ("*",), '"GET,PUT"', "GET,PUT", ("GET", "PUT")),
    Case("middleware.web.cors.headers", ("*",), '["X-A"]', "X-A", ("X-A",)),
    Case("middleware.web.keyauth.key", None, '"k"', "k", "k"),
    Case("middleware.web.trusted_proxies", (), '["10.0.0.0/8"]', "::1,10.1.2.3", ("10.0.0.0/8",), ("::1", "10.1.2.3")),
    Case("middleware.web.bodylimit", 500_000, '"1Mi"', "1048576", 1_048_576),
    Case("middleware.web.ratelimit.rps", 20, '"7"', "7", 7),
    Case("middleware.web.logger.level", "DEBUG", '"TRACE"', "TRACE", "TRACE"),
    Case("middleware.web.logger.skip", ("GET /health",), "[]", "", ()),
    Case("middleware.job.redact.patterns", (), '["*pin*"]', "*pin*", ("*pin*",)),
    Case("middleware.task.hostenv.vars", (), '["A", "B:C"]', "A,B:C", ("A", "B:C")),
    Case("middleware.webhook.secret", None, '"s"', "s", "s"),
    Case("worker.address", None, '":8001"', ":8001", ":8001"),
    Case("worker.name", "Worker", '"w"', "w", "w"),
    Case("worker.limits.cpus", None, "0.5", "1/2", "0.5", "1/2"),
    Case("worker.limits.memory", None, '"1.5g"', "512MiB", "1.5g", "512MiB"),
    Case("worker.limits.timeout", None, '"1h"', "1h", "1h"),
    Case("worker.drain", seconds(30), '"1m"', "1m", seconds(60)),
    Case("worker.grace", seconds(10), '"250ms"', "250ms", seconds(0.25)),
    Case("worker.heartbeat", seconds(5), '"1s"', "1s", seconds(1)),
    Case("worker.lease", seconds(15), '"1m"', "1m", seconds(60)),
    Case("worker.logs.max", 64_000_000, '"1G"', "1GB", 1_000_000_000),
    Case("mounts.bind.sources", (), '["/srv"]', "/srv,/mnt", ("/srv",), ("/srv", "/mnt")),
    Case("mounts.temp.dir", Path("/tmp"), '"/var/tmp"', "/var/tmp", Path("/var/tmp")),
    Case("runtime.type", "docker", '"auto"', "shell", "auto", "shell"),
    Case("runtime.shell.cmd", ("bash", "-c"), '["sh", "-c"]', "sh,-c", ("sh", "-c")),
    Case("runtime.shell.uid", "-", "1000", "1000", "1000"),
    Case("runtime.shell.gid", "-", '"1000"', "-", "1000", "-"),
    *ENGINES,
    *POSTGRES,
    *ENDPOINTS,
    *CONSUMERS,
    *OFF,
    *ON,
]

by_key = pytest.mark.parametrize("case", CASES, ids=[case.key for case in CASES])


def test_table_above_has_every_key_but_the_queues_of_workers() -> None:
    assert sorted(case.key for case in CASES) == sorted(KEYS.keys() - {"worker.queues"})


def test_no_two_keys_share_a_variable() -> None:
    assert len({variable_of(key) for key in KEYS}) == len(KEYS)


@by_key
def test_default_is_the_documented_one(case: Case, load: Load, places: Mapping[str, Path]) -> None:
    loaded = load()

    assert KEYS[case.key].value(loaded.settings) == _at_home(case.default, places["home"])
    assert not loaded.is_explicit(case.key)
    assert loaded.origins[case.key].kind == "default"


@by_key
def test_key_reads_from_a_file_and_says_so(case: Case, load: Load, places: Mapping[str, Path]) -> None:
    loaded = load(f"# a comment\n{case.key} = {case.toml}\n")

    assert KEYS[case.key].value(loaded.settings) == case.value
    assert loaded.is_explicit(case.key)
    assert str(loaded.origins[case.key]) == f"{places['cwd'] / 'config.toml'}:2"


@by_key
def test_key_reads_from_its_variable_and_says_so(case: Case, load: Load) -> None:
    variable = "TORK_" + case.key.upper().replace(".", "_")

    loaded = load("", {variable: case.text})

    assert KEYS[case.key].value(loaded.settings) == (case.value if case.value_of_text is ... else case.value_of_text)
    assert loaded.is_explicit(case.key)
    assert str(loaded.origins[case.key]) == f"environment variable {variable}"
    assert [warning for warning in loaded.warnings if "unknown" in warning] == []


@by_key
def test_default_survives_being_written_and_read(case: Case) -> None:
    key = KEYS[case.key]

    if key.default is not None:
        assert key.kind.read(key.kind.write(key.default)) == key.default


def _at_home(value: Any, home: Path) -> Any:
    return home / str(value)[2:] if isinstance(value, Path) and str(value).startswith("~/") else value
