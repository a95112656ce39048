"""Variables over the file over defaults, and the defaults that follow other settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.settings.conftest import Load


def test_variable_wins_over_file_key_by_key(load: Load) -> None:
    loaded = load('[worker]\nname = "file"\ndrain = "1m"', {"TORK_WORKER_NAME": "variable"})

    assert loaded.settings.worker.name == "variable"
    assert loaded.settings.worker.drain.total_seconds() == 60


def test_wrong_value_of_the_file_does_not_matter_once_a_variable_replaces_it(load: Load) -> None:
    assert load('worker.drain = "soon"', {"TORK_WORKER_DRAIN": "1s"}).settings.worker.drain.total_seconds() == 1


def test_what_a_program_gives_by_key_and_as_tables_comes_together(load: Load) -> None:
    table = {"lease": "20s"}
    given = {"worker.name": "given", "worker": table, "worker.heartbeat": "4s", "worker.queues": {"a": 1}}
    worker = load(given={**given, "worker.queues.b.c": 2}).settings.worker

    assert (worker.name, worker.lease.total_seconds(), worker.heartbeat.total_seconds()) == ("given", 20, 4)
    assert worker.queues == {"a": 1, "b.c": 2}
    assert table == {"lease": "20s"}


def test_the_section_of_a_component_is_given_value_by_value(load: Load) -> None:
    loaded = load(
        '[broker.nats]\nurl = "file"\ntoken = "file"',
        {"TORK_BROKER_NATS_USER": "variable"},
        known={"brokers": ["nats"]},
        given={"broker.nats.url": "given"},
    )
    assert loaded.settings.custom["broker.nats"] == {"url": "given", "token": "file", "user": "variable"}


@pytest.mark.parametrize("toml", ["", 'worker.name = ""'])
def test_empty_text_is_not_set(toml: str, load: Load) -> None:
    loaded = load(
        toml, {"TORK_WORKER_NAME": "", "TORK_WORKER_DRAIN": "", "TORK_COORDINATOR_PROCESSES": "", "TORK_BROKER": ""}
    )

    assert loaded.settings.worker.name == "Worker"
    assert not loaded.is_explicit("worker.name")


def test_empty_variable_leaves_the_file_its_say(load: Load) -> None:
    assert load('worker.name = "file"', {"TORK_WORKER_NAME": ""}).settings.worker.name == "file"


@pytest.mark.parametrize(
    ("text", "queues"),
    [("", {"default": 1}), ("[worker.queues]\nvideo = 2", {"video": 2}), ("[worker.queues]", {"default": 1})],
    ids=["none", "one", "empty table"],
)
def test_default_queue_is_served_when_no_other_is(text: str, queues: Mapping[str, int], load: Load) -> None:
    assert load(text).settings.worker.queues == queues


def test_queues_of_file_and_variables_come_together(load: Load) -> None:
    loaded = load(
        "[worker.queues]\nvideo = 2\naudio = '3'",
        {"TORK_WORKER_QUEUES_VIDEO": "5", "TORK_WORKER_QUEUES_HIGH_PRIO": "1"},
    )

    assert loaded.settings.worker.queues == {"video": 5, "audio": 3, "high_prio": 1}
    assert loaded.is_explicit("worker.queues")


def test_queues_of_the_coordinator_are_not_served(load: Load) -> None:
    loaded = load("[worker.queues]\njobs = 2\nvideo = 1")

    assert loaded.settings.worker.queues == {"video": 1}
    assert [warning.partition(": ")[2] for warning in loaded.warnings] == [
        "worker.queues.jobs: ignored: this queue is the coordinator's"
    ]


def test_worker_with_only_queues_of_the_coordinator_serves_the_default_one(load: Load) -> None:
    assert load("worker.queues.jobs = 2").settings.worker.queues == {"default": 1}


def test_fewer_than_one_consumer_counts_as_one(load: Load) -> None:
    assert load("coordinator.queues.jobs = -4").settings.coordinator.queues.jobs == 1


@pytest.mark.parametrize(
    ("toml", "locker"),
    [
        ("", "postgres"),
        ('datastore.type = "mongo"', "mongo"),
        ('locker.type = "inmemory"', "inmemory"),
    ],
)
def test_locker_follows_the_datastore(toml: str, locker: str, load: Load) -> None:
    assert load(toml, known={"datastores": ["mongo"]}).settings.locker.type == locker


def test_database_of_the_locker_follows_the_datastore_value_by_value(load: Load) -> None:
    settings = load(
        '[datastore.postgres]\ndsn = "host=a"\nmax_open_conns = 7', {"TORK_LOCKER_POSTGRES_DSN": "host=b"}
    ).settings

    assert (settings.locker.postgres.dsn, settings.locker.postgres.max_open_conns) == ("host=b", 7)


@pytest.mark.parametrize(
    ("url", "management"),
    [("amqp://u:p@mq.example:5673/v", "http://mq.example:15672"), ("amqps://[::1]", "http://[::1]:15672")],
)
def test_management_api_is_on_the_host_of_the_broker(url: str, management: str, load: Load) -> None:
    assert load("", {"TORK_BROKER_RABBITMQ_URL": url}).settings.broker.rabbitmq.management_url == management


@pytest.mark.parametrize(
    ("toml", "endpoint"),
    [
        ('endpoint = "http://old"', "http://old"),
        ('endpoint = "http://old"\nclient.endpoint = "http://new"', "http://new"),
        ("", "http://localhost:8000"),
        ('coordinator.address = "[::1]:9000"', "http://[::1]:9000"),
        ('coordinator.address = "0.0.0.0:9000"\ncoordinator.tls.cert = "server.pem"', "https://localhost:9000"),
        ('endpoint = "http://old"\ncoordinator.address = ":9000"', "http://old"),
    ],
)
def test_client_endpoint_then_endpoint(toml: str, endpoint: str, load: Load) -> None:
    assert load(toml).settings.client.endpoint == endpoint


def test_home_is_expanded_and_relative_paths_start_in_the_current_directory(
    load: Load, places: Mapping[str, Path]
) -> None:
    settings = load('data.dir = "~/tork"\nmounts.temp.dir = "work"', {"TORK_RUNTIME_DOCKER_CONFIG": "~"}).settings

    assert settings.data.dir == places["home"] / "tork"
    assert settings.mounts.temp_dir == places["cwd"] / "work"
    assert settings.runtime.docker.config == places["home"]


def test_data_of_root_is_below_var(load: Load) -> None:
    assert load(is_root=True).settings.data.dir == Path("/var/lib/tork")


@pytest.mark.parametrize(
    ("env", "runtime"),
    [
        ({}, "auto"),
        ({"TORK_COORDINATOR_ADDRESS": "127.0.0.1:9000"}, "auto"),
        ({"TORK_COORDINATOR_ADDRESS": "0.0.0.0:9000"}, "docker"),
        ({"TORK_COORDINATOR_ADDRESS": ":9000"}, "docker"),
        ({"TORK_RUNTIME_TYPE": "docker"}, "docker"),
        ({"TORK_RUNTIME_TYPE": "shell"}, "shell"),
        ({"TORK_RUNTIME_TYPE": "auto", "TORK_COORDINATOR_ADDRESS": ":9000"}, "auto"),
    ],
)
def test_standalone_takes_what_the_machine_has_when_nothing_says_otherwise(
    env: Mapping[str, str], runtime: str, load: Load
) -> None:
    loaded = load("", env)

    assert loaded.runtime_type(standalone=True) == runtime
    assert loaded.runtime_type(standalone=False) == loaded.settings.runtime.type


@pytest.mark.parametrize(
    ("kind", "key"), [("brokers", "broker.type"), ("datastores", "datastore.type"), ("runtimes", "runtime.type")]
)
def test_registered_name_may_be_chosen(kind: str, key: str, load: Load) -> None:
    assert load(f'{key} = "mine"', known={kind: ["mine"]}).is_explicit(key)


def test_asking_for_a_key_that_does_not_exist_fails(load: Load) -> None:
    with pytest.raises(KeyError):
        load().is_explicit("worker.nmae")
