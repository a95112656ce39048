"""What no setting knows: one warning each, with the nearest known name; what others may write is left alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.settings.conftest import Load


@pytest.mark.parametrize(
    ("toml", "warning"),
    [
        ("worker.nmae = 'w'", "unknown key 'worker.nmae' is ignored; the nearest known key is 'worker.name'"),
        ("[workers]\na = 1\nb = 2", "unknown key 'workers' is ignored; the nearest known key is 'worker'"),
        ("zzzzzzzz = 1", "unknown key 'zzzzzzzz' is ignored"),
        ("coordinator.queues.video = 2", "unknown key 'coordinator.queues.video' is ignored"),
        (
            "runtime.podman.image.tll = '1h'",
            "unknown key 'runtime.podman.image.tll' is ignored; the nearest known key is 'runtime.podman.image.ttl'",
        ),
        (
            "runtime.docker.network = ['a']",
            "unknown key 'runtime.docker.network' is ignored; the nearest known key is 'runtime.docker.networks'",
        ),
        ("broker.typ = 'x'", "unknown key 'broker.typ' is ignored; the nearest known key is 'broker.type'"),
        ("'worker\\nname' = 1", "unknown key 'worker\\nname' is ignored"),
        (
            "runtime.chroot.dir = '/'",
            "unknown key 'runtime.chroot' is ignored; the nearest known key is 'runtime.",
        ),
        (
            "broker.rabitmq.url = 'amqp://mq'",
            "unknown section 'broker.rabitmq' is kept for a custom component; did you mean 'broker.rabbitmq'?",
        ),
    ],
)
def test_unknown_key_of_a_file_gets_one_warning(
    toml: str, warning: str, load: Load, places: Mapping[str, Path]
) -> None:
    (found,) = load(toml).warnings

    assert found.startswith(f"{places['cwd'] / 'config.toml'}:1: {warning}")


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("TORK_WORKER_NMAE", "; the nearest known variable is 'TORK_WORKER_NAME'"),
        (
            "TORK_DATASTORE_POSTGRES_MAX_OPEN_CONN",
            "; the nearest known variable is 'TORK_DATASTORE_POSTGRES_MAX_OPEN_CONNS'",
        ),
        ("TORK_worker_name", ""),
        ("TORK_BROKER_TYP", "; the nearest known variable is 'TORK_BROKER_TYPE'"),
        ("TORK_", ""),
        ("TORK_" + "A_" * 200, ""),
    ],
)
def test_unknown_variable_gets_one_warning(variable: str, hint: str, load: Load) -> None:
    (found,) = load("", {variable: "x"}).warnings

    assert found.startswith(f"unknown environment variable {variable} is ignored")
    assert hint in found


@pytest.mark.parametrize(
    "variable",
    ["TORK_OUTPUT", "TORK_PROGRESS", "TORK_CLIENT_USERNAME", "TORK_CLIENT_KEY", "TORKCTL_X", "PATH", "NO_COLOR"],
)
def test_variables_of_others_are_left_alone(variable: str, load: Load) -> None:
    assert load("", {variable: "x"}).warnings == ()


def test_sections_of_components_are_kept_as_written(load: Load) -> None:
    loaded = load(
        "[broker.kafka]\nurl = 'k'\nmax_conns = 4\n[datastore.mongo.pool]\nsize = 5\n[mounter.s3]\nkeys = ['a']",
        {"TORK_BROKER_KAFKA_MAX_CONNS": "9", "TORK_MOUNTER_S3_RETRY_LIMIT": "3"},
    )

    assert loaded.warnings == ()
    assert loaded.settings.custom == {
        "broker.kafka": {"url": "k", "max_conns": "9"},
        "datastore.mongo": {"pool": {"size": 5}},
        "mounter.s3": {"keys": ["a"], "retry": {"limit": "3"}},
    }


def test_registered_runtime_may_have_a_section(load: Load) -> None:
    loaded = load("runtime.chroot.dir = '/'", known={"runtimes": ["chroot"]})

    assert (loaded.warnings, loaded.settings.custom) == ((), {"runtime.chroot": {"dir": "/"}})


def test_registered_name_close_to_ours_is_no_mistake(load: Load) -> None:
    assert load("broker.rabitmq.url = 'x'", known={"brokers": ["rabitmq"]}).warnings == ()


@pytest.mark.parametrize("toml", ["broker.rabbitmq.durable.queues = false", "broker.rabbitmq.durable.queues = 'F'"])
def test_queues_that_are_not_durable_are_warned_about(toml: str, load: Load) -> None:
    (warning,) = load(toml).warnings

    assert warning.endswith(": broker.rabbitmq.durable.queues: false is ignored: queues are always durable")


@pytest.mark.parametrize("toml", ["", "broker.rabbitmq.durable.queues = true"])
def test_durable_queues_need_no_warning(toml: str, load: Load) -> None:
    assert load(toml).warnings == ()


@pytest.mark.parametrize(
    "toml",
    ["mounts.bind.allowed = true", "mounts.bind.allowed = 't'\nmounts.bind.sources = []"],
    ids=["unset", "empty"],
)
def test_allowed_binds_without_a_path_that_may_be_mounted_are_warned_about(toml: str, load: Load) -> None:
    (warning,) = load(toml).warnings

    assert ": mounts.bind.allowed: no path can be mounted: mounts.bind.sources" in warning


@pytest.mark.parametrize(
    "toml", ["mounts.bind.allowed = false", "mounts.bind.allowed = true\nmounts.bind.sources = ['/srv']"]
)
def test_binds_that_are_off_or_complete_need_no_warning(toml: str, load: Load) -> None:
    assert load(toml).warnings == ()


def test_duration_without_a_unit_is_nanoseconds_and_warned_about(load: Load) -> None:
    loaded = load("worker.drain = 2_000_000_000", {"TORK_WORKER_GRACE": "0"})

    assert loaded.settings.worker.drain.total_seconds() == 2
    assert len(loaded.warnings) == 1
    assert "worker.drain: a plain number is in nanoseconds" in loaded.warnings[0]
