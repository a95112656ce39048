"""`python -m tests.chaos.unreliable run …`: torkd whose process dies between any two steps, and whose messages come twice and mixed up.

The places are those where something is half done: after a commit and before its messages are sent, after the messages and
before the acknowledgement, between a run's end and its report, and so on. The environment says how often; each death is
noted in a file first.
"""

from __future__ import annotations

import functools
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torkd.broker.rabbitmq.broker import RabbitMQBroker
from torkd.coordinator import due
from torkd.coordinator.apply import Publisher
from torkd.coordinator.loop import BatchLoop
from torkd.worker.report import Reporter

DEATHS = "CHAOS_DEATHS"
"""The file in which deaths are noted."""
DEATH_CHANCE = "CHAOS_DEATH_CHANCE"
TWICE_CHANCE = "CHAOS_TWICE_CHANCE"

Method = Callable[..., Any]


def die_around(owner: Any, name: str, *, chance: float) -> None:
    """Let the process die now and then just before, or just after, this is done."""
    original: Method = getattr(owner, name)

    @functools.wraps(original)
    def unreliable(*arguments: Any, **more: Any) -> Any:
        if random.random() < chance / 2:
            die(f"before {name}")
        answer = original(*arguments, **more)
        if random.random() < chance / 2:
            die(f"after {name}")
        return answer

    setattr(owner, name, unreliable)


def die(where: str) -> None:
    """As by kill -9."""
    with Path(os.environ[DEATHS]).open("a") as noted:
        noted.write(f"{where}\n")
    os.kill(os.getpid(), signal.SIGKILL)


def send_twice(name: str, *, chance: float) -> None:
    """Let messages of a list come twice now and then, in any order."""
    original: Method = getattr(RabbitMQBroker, name)

    @functools.wraps(original)
    def unreliable(self: Any, messages: Sequence[Any], *more: Any) -> Any:
        mixed = [message for message in messages for _ in range(1 + (random.random() < chance))]
        random.shuffle(mixed)
        return original(self, mixed, *more)

    setattr(RabbitMQBroker, name, unreliable)


def make_unreliable(death_chance: float, twice_chance: float) -> None:
    """Everything above."""
    for owner, name in ((Publisher, "publish"), (BatchLoop, "_after"), (Reporter, "send"), (due, "send_leftovers")):
        die_around(owner, name, chance=death_chance)
    for name in ("publish_tasks", "send_tasks", "publish_events"):
        send_twice(name, chance=twice_chance)


if __name__ == "__main__":
    from torkd.__main__ import main

    make_unreliable(float(os.environ[DEATH_CHANCE]), float(os.environ[TWICE_CHANCE]))
    sys.exit(main())
