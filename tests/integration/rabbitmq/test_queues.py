"""Queues as RabbitMQ has them: other people's arguments, unreadable messages, full ones, vanished ones, replicated ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import closing

import pytest
from msgspec.structs import replace

from tests.support.amqp import delete_queue, make_queue, put
from tests.support.messages import a_claim, a_log_part, a_report, a_task_message
from tests.support.postgres import free_port
from tests.support.rabbitmq_fixtures import VirtualHost
from tests.support.waiting import wait_until
from tork import wire
from tork.errors import BrokerUnavailable
from torkd.broker.messages import MESSAGE_VERSION, LogPrinted, RunClaimed, RunEnded
from torkd.broker.protocol import EventDelivery
from torkd.broker.queues import COMPLETED, DEAD, HEARTBEAT, LOGS, STARTED
from torkd.broker.rabbitmq import RabbitMQBroker, events, tasks

pytestmark = pytest.mark.rabbitmq

SOON = 10.0
NOT_YET = 0.1

Open = Callable[[RabbitMQBroker], RabbitMQBroker]


@pytest.fixture
def broker(rabbitmq_broker: RabbitMQBroker) -> RabbitMQBroker:
    return rabbitmq_broker


@pytest.fixture
def url(virtual_host: VirtualHost) -> str:
    return virtual_host.server.url(virtual_host.name)


def test_a_task_queue_with_other_arguments_is_named_with_what_differs_and_what_to_do(
    broker: RabbitMQBroker, virtual_host: VirtualHost, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    make_queue(url, "gpu", x_max_priority=3)
    sentence = (
        "the queue 'gpu' exists with other arguments: x-max-priority is 3 and should be 10; let it be emptied, delete it "
        f"with `rabbitmqctl -p '{virtual_host.name}' delete_queue 'gpu'`, and it is made anew"
    )
    for use in (lambda: broker.consume_tasks("gpu"), broker.check_health):
        with pytest.raises(BrokerUnavailable) as caught:
            use()
        assert str(caught.value) == sentence
    with pytest.raises(BrokerUnavailable, match="'gpu' exists with other arguments"):
        broker.publish_tasks([a_task_message("t1", queue="gpu"), a_task_message("t2", queue="default")])
    other = broker.consume_tasks("default").receive(SOON)
    assert other is not None, "one queue does not hold up the others"
    assert caplog.text.count(sentence) == 1
    delete_queue(url, "gpu")
    broker.publish_tasks([a_task_message("t1", queue="gpu")])
    assert broker.consume_tasks("gpu").receive(SOON)
    broker.check_health()


def test_a_queue_of_the_coordinators_with_other_arguments_stops_the_start(
    virtual_host: VirtualHost, url: str, open_broker: Open
) -> None:
    make_queue(url, HEARTBEAT)
    with pytest.raises(
        BrokerUnavailable, match="'heartbeat' exists with other arguments: x-message-ttl is not set and"
    ):
        open_broker(virtual_host.broker())
    delete_queue(url, HEARTBEAT)
    open_broker(virtual_host.broker())


def test_a_reader_goes_on_by_itself_once_a_queue_of_other_arguments_is_deleted(
    broker: RabbitMQBroker, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LOOK_AGAIN_SECONDS", 0.1)
    reader = broker.consume_events([STARTED])
    delete_queue(url, STARTED)
    wait_until(lambda: any(queue.name == STARTED and queue.subscribers for queue in broker.queues()))
    broker.publish_events([a_claim("r1")])
    assert [delivery.message for delivery in reader.receive(10, SOON)] == [a_claim("r1")]


def test_what_finds_no_queue_is_sent_again_after_the_queue_is_made(broker: RabbitMQBroker, url: str) -> None:
    broker.publish_tasks([a_task_message("t1", queue="gpu")])
    delete_queue(url, "gpu")
    broker.publish_tasks([a_task_message(f"t{number}", queue="gpu") for number in range(2, 5)])
    slot = broker.consume_tasks("gpu")
    seen = []
    for _ in range(3):
        delivery = slot.receive(SOON)
        assert delivery is not None
        seen.append(delivery.message.task_id)
        delivery.ack()
    assert seen == ["t2", "t3", "t4"]


def test_a_slot_goes_on_after_its_queue_was_deleted_under_it(broker: RabbitMQBroker, url: str) -> None:
    slot = broker.consume_tasks("gpu")
    assert slot.receive(NOT_YET) is None
    delete_queue(url, "gpu")
    broker.publish_tasks([a_task_message("t1", queue="gpu")])
    assert slot.receive(SOON)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"[1, 2", b'{"kind": "nonsense"}', b"[" * 100_000],
    ids=["empty", "bytes", "cut", "unknown", "deep"],
)
def test_what_nobody_can_read_is_buried_wherever_it_is(broker: RabbitMQBroker, url: str, body: bytes) -> None:
    slot, orders = broker.consume_tasks("default"), broker.consume_orders("n1")
    reader = broker.consume_events([STARTED, COMPLETED])
    for queue in ("default", "x-n1", STARTED):
        put(url, queue, body)
    broker.publish_tasks([a_task_message("t1")])
    broker.publish_events([a_report("r1")])
    delivery = slot.receive(SOON)
    assert delivery is not None
    assert delivery.message.task_id == "t1"
    seen: list[object] = []
    while not seen:
        seen += [type(event.message) for event in reader.receive(10, SOON)]
    assert seen == [RunEnded]
    assert not orders.receive(NOT_YET)
    reader.receive(1, NOT_YET)
    wait_until(lambda: len(broker.dead_letters(10)) == 3)
    letters = broker.dead_letters(10)
    assert {letter.queue for letter in letters} == {"default", "x-n1", STARTED}
    assert all(letter.reason.startswith("it can't be read: ") for letter in letters)
    assert {letter.body for letter in letters} == {body.decode(errors="replace")}
    wait_until(lambda: all(queue.unacked == 0 for queue in broker.queues() if queue.name == STARTED))


def test_unknown_fields_are_ignored_at_any_depth(broker: RabbitMQBroker, url: str) -> None:
    message = json.loads(wire.encode(a_task_message("t1")))
    message["shiny"] = True
    message["definition"]["shinier"] = {"a": 1}
    slot = broker.consume_tasks("default")
    put(url, "default", json.dumps(message).encode())
    delivery = slot.receive(SOON)
    assert delivery is not None
    assert delivery.message == a_task_message("t1")


def test_a_task_of_a_newer_version_is_left_for_those_who_understand_it(
    broker: RabbitMQBroker, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "NEWER_SECONDS", 0.05)
    slot = broker.consume_tasks("default")
    newer = json.loads(wire.encode(a_task_message("newer"))) | {"v": MESSAGE_VERSION + 1}
    other = {"v": MESSAGE_VERSION + 1, "kind": "run", "all": "new"}
    put(url, "default", json.dumps(newer).encode(), json.dumps(other).encode())
    assert slot.receive(0.5) is None
    assert broker.dead_letters(10) == []
    slot.close()
    wait_until(lambda: any(queue.name == "default" and queue.size == 2 for queue in broker.queues()))


def test_an_event_of_a_newer_version_is_read_as_far_as_it_can_be_and_is_never_buried(
    broker: RabbitMQBroker, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "NEWER_SECONDS", 0.05)
    reader = broker.consume_events([STARTED])
    newer = json.loads(wire.encode(a_claim("r1"))) | {"v": MESSAGE_VERSION + 1, "shiny": True}
    put(url, STARTED, json.dumps(newer).encode())
    (delivery,) = reader.receive(10, SOON)
    assert isinstance(delivery.message, RunClaimed)
    assert (delivery.message.v, delivery.message.run_id) == (MESSAGE_VERSION + 1, "r1")
    reader.ack([delivery])
    put(url, STARTED, b'{"v": 2, "kind": "danced"}')
    assert not reader.receive(10, NOT_YET)
    assert not reader.receive(10, NOT_YET)
    assert broker.dead_letters(10) == []
    reader.close()
    wait_until(lambda: any(queue.name == STARTED and queue.size == 1 for queue in broker.queues()))


def test_whoever_prints_faster_than_logs_are_stored_waits_and_nothing_is_dropped(
    virtual_host: VirtualHost, open_broker: Open
) -> None:
    broker = open_broker(virtual_host.broker(log_bytes=2_000))
    sent = 0
    with pytest.raises(BrokerUnavailable, match="the queue 'logs' is full"):  # noqa: PT012 -- which one is full is the point
        for sent in range(1000):
            broker.publish_events([a_log_part(f"r{sent}")])
    broker.publish_events([a_claim("r1")])
    reader = broker.consume_events([LOGS])
    seen: list[str] = []
    while len(seen) < sent:
        deliveries = reader.receive(100, SOON)
        assert deliveries
        seen += [getattr(delivery.message, "run_id", "") for delivery in deliveries]
        reader.ack(deliveries)
    assert seen == [f"r{number}" for number in range(sent)]
    broker.publish_events([a_log_part("after")])


def test_quorum_queues_carry_everything_but_priorities(virtual_host: VirtualHost, open_broker: Open) -> None:
    broker = open_broker(virtual_host.broker(quorum=True))
    broker.publish_tasks([a_task_message("t1"), a_task_message("t2", priority=9)])
    slot = broker.consume_tasks("default")
    seen = []
    for _ in range(2):
        delivery = slot.receive(SOON)
        assert delivery is not None
        seen.append(delivery.message.task_id)
        delivery.ack()
    assert sorted(seen) == ["t1", "t2"]
    reader = broker.consume_events([STARTED])
    broker.publish_events([a_claim("r1")])
    (event,) = reader.receive(10, SOON)
    reader.bury(event, "no sense")
    wait_until(lambda: [letter.reason for letter in broker.dead_letters(10)] == ["no sense"])
    broker.mark_epoch("e1")
    assert broker.has_epoch("e1")


@pytest.mark.parametrize("nowhere", ["", "http://127.0.0.1:{port}", "http://u:wrong@127.0.0.1:{management}"])
def test_without_the_management_api_the_figures_are_those_that_rabbitmq_itself_tells(
    virtual_host: VirtualHost, open_broker: Open, nowhere: str, caplog: pytest.LogCaptureFixture
) -> None:
    address = nowhere.format(port=free_port(), management=virtual_host.server.management_port)
    broker = open_broker(virtual_host.broker(management_url=address))
    other = open_broker(virtual_host.broker())
    orders = other.consume_orders("n2")
    broker.publish_orders("n2", [])
    broker.publish_tasks([a_task_message("t1"), a_task_message("t2")])
    slot = other.consume_tasks("default")
    delivery = slot.receive(SOON)
    assert delivery is not None
    found = {queue.name: (queue.size, queue.subscribers) for queue in broker.queues()}
    assert found["default"] == (1, 1)
    assert found[DEAD] == (0, 0)
    assert found["x-n2"] == (0, 1)
    orders.close()
    wait_until(lambda: "x-n2" not in {queue.name for queue in broker.queues()})
    assert "wrong" not in caplog.text


def test_marks_of_the_past_are_removed_once_another_one_counts(
    broker: RabbitMQBroker, virtual_host: VirtualHost
) -> None:
    broker.mark_epoch("e1")
    assert broker.has_epoch("e1")
    broker.mark_epoch("e2")
    assert broker.has_epoch("e2")
    names = [row["name"] for row in virtual_host.server.api("GET", f"queues/{virtual_host.name}")]
    assert [name for name in names if name.startswith("tork.epoch.")] == ["tork.epoch.e2"]
    assert not [queue.name for queue in broker.queues() if queue.name.startswith("tork.")]


class Rot13:
    """Bodies that can't be read as they travel."""

    def seal(self, data: bytes) -> bytes:
        return b"sealed " + bytes(byte ^ 0x55 for byte in data)

    def open(self, data: bytes) -> bytes:
        if not data.startswith(b"sealed "):
            raise ValueError("it is not sealed")
        return bytes(byte ^ 0x55 for byte in data.removeprefix(b"sealed "))


def test_sealed_bodies_travel_sealed_and_are_opened_where_they_are_read(
    virtual_host: VirtualHost, url: str, open_broker: Open
) -> None:
    broker = open_broker(RabbitMQBroker(virtual_host.options(), seal=Rot13()))
    slot = broker.consume_tasks("default")
    put(url, "default", wire.encode(a_task_message("forged")))
    broker.publish_tasks([a_task_message("t1")])
    delivery = slot.receive(SOON)
    assert delivery is not None
    assert delivery.message.task_id == "t1"
    wait_until(
        lambda: (
            [letter.reason for letter in broker.dead_letters(10)]
            == ["it can't be opened with our keys: it is not sealed"]
        )
    )
    reader = broker.consume_events([STARTED])
    broker.publish_events([a_claim("r1")])
    (event,) = reader.receive(10, SOON)
    reader.bury(event, "no sense")
    wait_until(lambda: [letter.kind for letter in broker.dead_letters(10)] == ["run", "claimed"])


def test_logs_are_read_by_one_at_a_time_so_that_they_stay_in_order(
    broker: RabbitMQBroker, virtual_host: VirtualHost
) -> None:
    with closing(virtual_host.broker()) as other:
        other.open()
        first, second = broker.consume_events([LOGS]), other.consume_events([LOGS])
        broker.publish_events([replace(a_log_part("r"), number=number) for number in range(1, 7)])
        taken = list(first.receive(2, SOON))
        assert second.receive(10, NOT_YET) == []
        first.ack(taken[:1])
        first.close()
        rest: list[int] = []

        def has_the_rest() -> bool:
            rest.extend(_numbers(second.receive(10, NOT_YET)))
            return len(rest) >= 5

        wait_until(has_the_rest)
        assert (_numbers(taken), rest) == ([1, 2], [2, 3, 4, 5, 6])


def _numbers(deliveries: Iterable[EventDelivery]) -> list[int]:
    return [part.message.number for part in deliveries if isinstance(part.message, LogPrinted)]
