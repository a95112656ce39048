"""Messages that wait are sealed anew: none is lost whenever it is killed, and afterwards none needs the older key."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.amqp import amqp_channel, make_queue, put
from tests.support.databases import Databases
from tests.support.messages import a_claim, a_log_part, a_task_message
from tests.support.postgres import PostgresServer
from tests.support.rabbitmq_fixtures import VirtualHost
from tests.support.waiting import wait_until
from torkd.broker.queues import COMPLETED, DEAD, LOGS, STARTED
from torkd.broker.rabbitmq import RabbitMQBroker, resealing
from torkd.broker.rabbitmq.burying import dead_message
from torkd.broker.rabbitmq.encoding import Encoding
from torkd.broker.rabbitmq.errand import Errand
from torkd.sealing import KeyRing, SealedBodies

pytestmark = pytest.mark.rabbitmq

OLD, NEW, STRANGE = "the key of before", "the key of now", "a key of nobody"
SOON = 10.0

Open = Callable[..., RabbitMQBroker]


@pytest.fixture
def url(virtual_host: VirtualHost) -> str:
    return virtual_host.server.url(virtual_host.name)


@pytest.fixture
def with_keys(virtual_host: VirtualHost, open_broker: Callable[[RabbitMQBroker], RabbitMQBroker]) -> Open:
    def make(key: str | None, *older: str, **options: object) -> RabbitMQBroker:
        seal = SealedBodies(KeyRing(key, older))
        return open_broker(RabbitMQBroker(virtual_host.options(**options), seal=seal))

    return make


def bury(broker: RabbitMQBroker, count: int) -> set[str]:
    """Dead letters, as a coordinator leaves them; their ids."""
    letters = [
        dead_message(COMPLETED, b'{"kind": "no sense", "number": %d}' % number, f"reason {number}", broker._encoding)
        for number in range(count)
    ]
    broker._publisher.publish(letters)
    return {str(letter.properties.message_id) for letter in letters}


def size(url: str, queue: str) -> int:
    with amqp_channel(url) as channel:
        return int(channel.queue_declare(queue, passive=True).method.message_count)


def bodies(url: str, queue: str) -> list[bytes]:
    """What waits there, in its order; it is put back."""
    found: list[bytes] = []
    with amqp_channel(url) as channel:
        while (got := channel.basic_get(queue))[0] is not None:
            assert got[2] is not None
            found.append(got[2])
    return found


def task_ids(url: str, queue: str, key: str) -> list[str]:
    """Of the tasks that wait there, each opened with this key alone."""
    read = Encoding(SealedBodies(KeyRing(key))).tasks.read
    return [read(body).task_id for body in bodies(url, queue)]


def publish_tasks(broker: RabbitMQBroker, count: int, *, first: int = 0, priority: int = 0) -> list[str]:
    ids = [f"t{number}" for number in range(first, first + count)]
    broker.publish_tasks([a_task_message(task_id, priority=priority) for task_id in ids])
    return ids


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_all_that_waits_is_sealed_with_the_key_of_now(with_keys: Open, url: str, queue_type: str) -> None:
    broker = with_keys(OLD, quorum=queue_type == "quorum")
    letters = bury(broker, 3)
    ids = publish_tasks(broker, 5)
    broker.publish_events([a_claim("r1")])
    both = with_keys(NEW, OLD, quorum=queue_type == "quorum")
    ids += publish_tasks(both, 2, first=5)
    assert both.reseal(["default"], only_count=True).done == {DEAD: 3, "default": 5, STARTED: 1}
    rested = both.reseal(["default"])
    assert (rested.done, rested.left, rested.damaged) == ({DEAD: 3, "default": 5, STARTED: 1}, {}, [])
    assert task_ids(url, "default", NEW) == ids[5:] + ids[:5], "in their order, behind what was sealed as wanted"
    new = with_keys(NEW, quorum=queue_type == "quorum")
    assert {letter.id for letter in new.dead_letters(10)} == letters
    assert {letter.kind for letter in new.dead_letters(10)} == {"no sense"}
    assert [letter.reason for letter in new.dead_letters(10)] == ["reason 0", "reason 1", "reason 2"]
    assert [delivery.message for delivery in new.consume_events([STARTED]).receive(10, SOON)] == [a_claim("r1")]
    assert both.reseal(["default"]).done == {}


def test_higher_priorities_stay_in_front(with_keys: Open, url: str) -> None:
    old = with_keys(OLD)
    low = publish_tasks(old, 3)
    high = publish_tasks(old, 3, first=10, priority=9)
    with_keys(NEW, OLD).reseal(["default"])
    assert task_ids(url, "default", NEW) == high + low


def test_without_a_key_all_is_opened_and_with_a_first_one_all_is_sealed(with_keys: Open, url: str) -> None:
    bury(with_keys(OLD), 2)
    publish_tasks(with_keys(OLD), 2)
    clear = with_keys(None, OLD)
    assert clear.reseal(["default"]).done == {DEAD: 2, "default": 2}
    assert not any(body.startswith(b"torkd-sealed:") for queue in ("default", DEAD) for body in bodies(url, queue))
    assert with_keys(NEW).reseal(["default"]).done == {DEAD: 2, "default": 2}
    assert all(body.startswith(b"torkd-sealed:") for queue in ("default", DEAD) for body in bodies(url, queue))


def test_what_others_have_on_the_same_virtual_host_is_left_alone(with_keys: Open, url: str) -> None:
    make_queue(url, "theirs")
    put(url, "theirs", b"clear", b'{"kind": "run"}')
    assert with_keys(NEW, OLD).reseal(["theirs"]).done == {}
    assert bodies(url, "theirs") == [b"clear", b'{"kind": "run"}']


def test_what_can_not_be_opened_is_told_and_left(with_keys: Open, url: str) -> None:
    letters = bury(with_keys(STRANGE), 1)
    ids = publish_tasks(with_keys(STRANGE), 1)
    publish_tasks(with_keys(OLD), 1, first=5)
    rested = with_keys(NEW, OLD).reseal(["default"])
    assert (rested.done, rested.left) == ({"default": 1}, {DEAD: 1, "default": 1})
    assert f"the message {letters.pop()} in the queue 'dead' is left as it is: sealed with" in rested.damaged[0]
    strange = with_keys(STRANGE).consume_tasks("default").receive(SOON)
    assert strange is not None
    assert strange.message.task_id == ids[0]


def test_logs_are_told_as_long_as_nobody_reads_them(with_keys: Open, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their order counts, so they are not sent again."""
    monkeypatch.setattr(resealing, "LOGS_SECONDS", 0.3)
    with_keys(OLD).publish_events([a_log_part("r1")])
    before = bodies(url, LOGS)
    both = with_keys(NEW, OLD)
    assert both.reseal().left == {LOGS: 1}
    assert bodies(url, LOGS) == before
    reader = both.consume_events([LOGS])
    reader.ack(reader.receive(10, SOON))
    wait_until(lambda: both.reseal().left == {})


def test_a_queue_with_too_much_in_front_is_told(with_keys: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resealing, "MOST_HELD", 3)
    both = with_keys(NEW, OLD)
    publish_tasks(both, 3)
    publish_tasks(with_keys(OLD), 2, first=5)
    assert (both.reseal(["default"]).done, both.reseal(["default"]).left) == ({}, {"default": 1})
    assert both.reseal(["default"], only_count=True).left == {"default": 1}


def test_workers_go_on_meanwhile(with_keys: Open, url: str) -> None:
    """What is taken of a queue that workers read is theirs again at once."""
    both = with_keys(NEW, OLD)
    ids = publish_tasks(with_keys(OLD), 300)
    slot = both.consume_tasks("default")
    got: set[str] = set()

    def work() -> bool:
        delivery = slot.receive(0.05)
        if delivery is not None:
            got.add(delivery.message.task_id)
            delivery.ack()
        return len(got) == len(ids)

    work()
    assert both.reseal(["default"]).done["default"] >= 250
    wait_until(work, timeout=30)
    assert got == set(ids)


def test_a_dead_letter_that_was_published_when_it_was_killed_is_there_once_in_the_end(
    with_keys: Open, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = bury(with_keys(OLD), 5)
    monkeypatch.setattr(resealing, "AT_ONCE", 2)
    acknowledge, acknowledged = Errand.ack, []

    def until_killed(errand: Errand, tag: int) -> None:
        acknowledged.append(tag)
        if len(acknowledged) > 3:
            raise KeyboardInterrupt
        acknowledge(errand, tag)

    with monkeypatch.context() as patched:
        patched.setattr(Errand, "ack", until_killed)
        with pytest.raises(KeyboardInterrupt):
            with_keys(NEW, OLD).reseal()
    both = with_keys(NEW, OLD)
    wait_until(lambda: size(url, DEAD) == 6)
    assert {letter.id for letter in both.dead_letters(10)} == letters
    assert both.reseal().done == {DEAD: 2}
    assert sorted(letter.id for letter in with_keys(NEW).dead_letters(10)) == sorted(letters)


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with PostgresServer.start() as server, Databases(server).copy() as dsn:
        yield dsn


MANY = 250
"""More than it does at once."""


@pytest.mark.postgres
def test_killed_at_any_moment_it_loses_nothing_and_another_run_ends_it(
    with_keys: Open, url: str, virtual_host: VirtualHost, dsn: str, tmp_path: Path
) -> None:
    """The real command, and a real kill -9."""
    letters = bury(with_keys(OLD), MANY)
    ids = set(publish_tasks(with_keys(OLD), MANY))
    both = with_keys(NEW, OLD)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TORK_DATASTORE_POSTGRES_DSN": dsn,
        "TORK_BROKER_TYPE": "rabbitmq",
        "TORK_BROKER_RABBITMQ_URL": url,
        "TORK_BROKER_RABBITMQ_MANAGEMENT_URL": virtual_host.server.management_url,
        "TORK_DATASTORE_ENCRYPTION_KEY": NEW,
        "TORK_DATASTORE_ENCRYPTION_OLDER_KEYS": OLD,
    }
    command = [sys.executable, "-m", "torkd", "rekey"]

    def unacknowledged() -> dict[str, int]:
        path = f"queues/{virtual_host.name}?disable_stats=true&enable_queue_totals=true"
        found = virtual_host.server.api("GET", path)
        return {row["name"]: row["messages_unacknowledged"] for row in found if row["messages_unacknowledged"]}

    ends = []
    for queue in (DEAD, DEAD, "default"):
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)
        while queue not in unacknowledged() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        ends.append(process.wait())
        wait_until(lambda: not unacknowledged())
        found = both.dead_letters(10_000)
        assert {letter.id for letter in found} == letters
        assert {letter.kind for letter in found} == {"no sense"}
        assert len(bodies(url, "default")) >= MANY
    assert ends[0] == -signal.SIGKILL, "it was killed while it was at work"
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing that is stored or waits needs an older key" in done.stdout
    assert sorted(letter.id for letter in with_keys(NEW).dead_letters(10_000)) == sorted(letters)
    assert set(task_ids(url, "default", NEW)) == ids
    again = subprocess.run(
        [*command, "--dry-run"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "queue" not in again.stdout
