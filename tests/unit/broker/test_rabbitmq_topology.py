from __future__ import annotations

import pytest

from torkd.broker.queues import DEAD, HEARTBEAT, LOGS, STARTED
from torkd.broker.rabbitmq import RabbitMQOptions
from torkd.broker.rabbitmq.topology import EPOCH_PREFIX, mismatch_sentence, queue_arguments


@pytest.mark.parametrize(
    ("queue", "arguments"),
    [
        ("default", {"x-max-priority": 10}),
        (STARTED, {}),
        (DEAD, {}),
        (f"{EPOCH_PREFIX}e1", {}),
        (HEARTBEAT, {"x-message-ttl": 10_000}),
        (
            LOGS,
            {"x-max-length-bytes": 4_000_000, "x-overflow": "reject-publish", "x-single-active-consumer": True},
        ),
    ],
)
def test_each_queue_has_the_arguments_of_its_kind(queue: str, arguments: dict[str, object]) -> None:
    """Changing one of these makes every deployment migrate its queues: docs/rabbitmq.md tells them how."""
    assert queue_arguments(queue, RabbitMQOptions(url="")) == {"x-queue-type": "classic", **arguments}
    quorum = {key: value for key, value in arguments.items() if key != "x-max-priority"}
    assert queue_arguments(queue, RabbitMQOptions(url="", quorum=True)) == {
        "x-queue-type": "quorum",
        "x-delivery-limit": 1_000_000_000,
        **quorum,
    }


@pytest.mark.parametrize(
    ("told", "difference"),
    [
        ("received the value '10' of type 'signedint' but current is none", "x-a is not set and should be 10"),
        (
            "received none but current is the value 'lazy' of type 'longstr'",
            "x-a is lazy and should be not set",
        ),
        ("received 'true' but current is 'false'", "x-a is false and should be true"),
    ],
)
def test_what_differs_is_said_in_words(told: str, difference: str) -> None:
    text = f"PRECONDITION_FAILED - inequivalent arg 'x-a' for queue 'q' in vhost '/': {told}"
    assert mismatch_sentence("q", "/", text) == (
        f"the queue 'q' exists with other arguments: {difference}; let it be emptied, delete it with "
        "`rabbitmqctl delete_queue 'q'`, and it is made anew"
    )


def test_what_is_not_understood_is_passed_on() -> None:
    assert "something else" in mismatch_sentence("q", "v", "PRECONDITION_FAILED - something else")
