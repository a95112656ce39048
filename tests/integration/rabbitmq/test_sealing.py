"""Messages with an encryption key: what rests in RabbitMQ tells nothing, and who lacks the key loses nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from tests.support.amqp import amqp_channel, put
from tests.support.messages import a_claim, a_heartbeat, a_log_part, a_report, a_task_message
from tests.support.rabbitmq_fixtures import VirtualHost
from tests.support.waiting import wait_until
from tork import wire
from tork.errors import BrokerUnavailable
from tork.task import Registry, TaskDefinition
from torkd.broker.messages import ForgetNodes, LiveChanges, RunOutcome
from torkd.broker.queues import COMPLETED, DEAD, HEARTBEAT, LOGS, STARTED
from torkd.broker.rabbitmq import RabbitMQBroker, encoding, events, tasks
from torkd.sealing import KeyRing, SealedBodies

pytestmark = pytest.mark.rabbitmq

SOON = 10.0
NOT_YET = 0.1
KEY, OTHER_KEY = "the key of everybody", "the key of somebody else"
SECRET = "hunter2-planted"

Open = Callable[[RabbitMQBroker], RabbitMQBroker]


@pytest.fixture
def with_key(virtual_host: VirtualHost, open_broker: Open) -> Callable[..., RabbitMQBroker]:
    """Opens a broker with a key, or with none."""

    def make(key: str | None, *older: str) -> RabbitMQBroker:
        return open_broker(RabbitMQBroker(virtual_host.options(), seal=SealedBodies(KeyRing(key, older))))

    return make


@pytest.fixture
def url(virtual_host: VirtualHost) -> str:
    return virtual_host.server.url(virtual_host.name)


@pytest.fixture(autouse=True)
def soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "NOT_FOR_US_SECONDS", 0.05)
    monkeypatch.setattr(events, "NOT_FOR_US_SECONDS", 0.05)


def everything_in(url: str, *queues: str) -> bytes:
    """What rests there: bodies and headers. It is put back."""
    found = []
    with amqp_channel(url) as channel:
        for queue in queues:
            got = channel.basic_get(queue)
            while got[0] is not None:
                found.append(got[2] + repr(got[1]).encode() + repr(got[1].headers).encode())
                got = channel.basic_get(queue)
    return b"\n".join(found)


def a_secret_task() -> TaskDefinition:
    return TaskDefinition(
        name="t", run=f"echo {SECRET}", env={"TOKEN": SECRET}, registry=Registry(username="u", password=SECRET)
    )


def test_nothing_that_rests_in_a_queue_can_be_read(with_key: Callable[..., RabbitMQBroker], url: str) -> None:
    broker = with_key(KEY)
    slot = broker.consume_tasks("default")
    slot.close()
    broker.publish_tasks([a_task_message("t1", definition=a_secret_task(), mask=[SECRET])])
    report = replace(a_report("r1", outcome=RunOutcome.FAILED), error=SECRET)
    broker.publish_events([a_claim("r1"), a_log_part("r1"), report])
    rested = everything_in(url, "default", STARTED, COMPLETED, "error", LOGS)
    assert rested.count(b"torkd-sealed:") == 4
    assert SECRET.encode() not in rested
    assert b"hello" not in rested
    other = with_key(KEY)
    delivery = other.consume_tasks("default").receive(SOON)
    assert delivery is not None
    assert delivery.message.definition == a_secret_task()


def test_what_was_sent_before_there_was_a_key_is_read(with_key: Callable[..., RabbitMQBroker]) -> None:
    with_key(None).publish_tasks([a_task_message("t1")])
    delivery = with_key(KEY).consume_tasks("default").receive(SOON)
    assert delivery is not None
    assert delivery.message == a_task_message("t1")


def test_a_key_can_be_replaced_process_by_process(with_key: Callable[..., RabbitMQBroker]) -> None:
    with_key(OTHER_KEY).publish_tasks([a_task_message("t1")])
    delivery = with_key(KEY, OTHER_KEY).consume_tasks("default").receive(SOON)
    assert delivery is not None
    assert delivery.message == a_task_message("t1")


@pytest.mark.parametrize("key", [None, OTHER_KEY], ids=["without-a-key", "with-another-key"])
def test_a_worker_that_lacks_the_key_leaves_every_task_to_others_and_says_so(
    with_key: Callable[..., RabbitMQBroker], key: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    lacking, having = with_key(key), with_key(KEY)
    slot = lacking.consume_tasks("default")
    having.publish_tasks([a_task_message("t1"), a_task_message("t2")])
    assert slot.receive(0.5) is None
    with pytest.raises(BrokerUnavailable, match=f"sealed with the encryption key {KeyRing(KEY).key_id}"):
        lacking.check_health()
    having.check_health()
    assert having.dead_letters(10) == []
    assert caplog.text.count("messages can't be read, and are left to others") == 1
    other = having.consume_tasks("default")
    got: set[str] = set()
    while len(got) < 2:
        delivery = other.receive(SOON)
        assert delivery is not None
        got.add(delivery.message.task_id)
        delivery.ack()
    assert got == {"t1", "t2"}


def test_a_coordinator_that_lacks_the_key_leaves_every_event_to_others_and_says_so(
    with_key: Callable[..., RabbitMQBroker],
) -> None:
    lacking, having = with_key(None), with_key(KEY)
    reader = lacking.consume_events([STARTED])
    having.publish_events([a_claim("r1"), a_claim("r2")])
    wait_until(lambda: not reader.receive(10, NOT_YET) and is_down(lacking))
    assert having.dead_letters(10) == []
    reader.close()
    other = having.consume_events([STARTED])
    got = {delivery.message for _ in range(2) for delivery in other.receive(1, SOON)}
    assert got == {a_claim("r1"), a_claim("r2")}


def test_heartbeats_that_can_t_be_opened_are_no_silence(with_key: Callable[..., RabbitMQBroker]) -> None:
    lacking, having = with_key(None), with_key(KEY)
    having.publish_events([a_heartbeat()])
    reader = lacking.consume_events([HEARTBEAT], most_in_hand=1)
    with pytest.raises(BrokerUnavailable, match="sealed with the encryption key"):
        reader.receive(10, SOON)


def test_orders_and_live_changes_that_can_t_be_opened_do_no_harm(with_key: Callable[..., RabbitMQBroker]) -> None:
    lacking, having = with_key(None), with_key(KEY)
    orders = lacking.consume_orders("n1")
    heard: list[LiveChanges | None] = []
    lacking.subscribe(heard.append)
    having.publish_orders("n1", [ForgetNodes(node_ids=["n2"])])
    having.publish_live(LiveChanges(jobs=[]))
    wait_until(lambda: heard == [None])
    assert not orders.receive(NOT_YET)
    assert having.dead_letters(10) == []


def test_the_trouble_is_over_when_no_such_message_came_for_a_while(
    with_key: Callable[..., RabbitMQBroker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "LOCKED_SECONDS", 0.3)
    lacking, having = with_key(None), with_key(KEY)
    slot = lacking.consume_tasks("default")
    having.publish_tasks([a_task_message("t1")])
    wait_until(lambda: slot.receive(NOT_YET) is None and is_down(lacking))
    slot.close()
    wait_until(lambda: not is_down(lacking))


def test_dead_letters_rest_sealed_and_are_opened_for_who_lists_them(
    with_key: Callable[..., RabbitMQBroker], url: str
) -> None:
    broker = with_key(KEY)
    reader = broker.consume_events([STARTED])
    broker.publish_events([a_claim("r1")])
    (event,) = reader.receive(10, SOON)
    reader.bury(event, f"no sense in {SECRET}")
    put(url, STARTED, b'{"kind": "claimed", "taskId": "%b"}' % SECRET.encode())
    reader.receive(10, NOT_YET)
    wait_until(lambda: len(broker.dead_letters(10)) == 2)
    rested = everything_in(url, DEAD)
    assert rested.count(b"torkd-sealed:") >= 4
    assert SECRET.encode() not in rested
    letters = {letter.reason: letter for letter in broker.dead_letters(10)}
    letter = letters[f"no sense in {SECRET}"]
    assert letter.kind == "claimed"
    assert '"r1"' in letter.body
    (of_another,) = {letter.body for letter in with_key(OTHER_KEY).dead_letters(1)}
    assert "sealed with the encryption key" in of_another
    broker.replay_dead(letter.id)
    (again,) = reader.receive(10, SOON)
    assert again.message == a_claim("r1")


def test_a_body_that_was_changed_on_its_way_is_buried(with_key: Callable[..., RabbitMQBroker], url: str) -> None:
    broker = with_key(KEY)
    slot = broker.consume_tasks("default")
    sealed = bytearray(SealedBodies(KeyRing(KEY)).seal(wire.encode(a_task_message("t1"))))
    sealed[-1] ^= 1
    put(url, "default", bytes(sealed))
    assert slot.receive(NOT_YET) is None
    wait_until(lambda: [letter.queue for letter in broker.dead_letters(10)] == ["default"])
    assert "it was changed after it was sealed" in broker.dead_letters(10)[0].reason


def is_down(broker: RabbitMQBroker) -> bool:
    try:
        broker.check_health()
    except BrokerUnavailable as error:
        return "sealed with the encryption key" in str(error)
    return False
