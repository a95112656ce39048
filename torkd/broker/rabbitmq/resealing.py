"""Seals messages that wait in RabbitMQ anew: with the key of now instead of older ones or none; or opens them, to end encryption.

A message is published again at the end of its queue, and let go when that is confirmed: killed at any moment, this leaves it there
once or twice, never not at all. What comes twice does no harm, and of a dead letter the older form is dropped by whoever goes on.

Daemons work beside it. What is sealed as wanted is held until the end of the look and then given back to its place; the look ends
as soon as nothing is left for anybody, so it keeps no worker waiting.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from torkd.broker.queues import DEAD, HEARTBEAT, LOGS
from torkd.broker.rabbitmq.burying import REASON, dead_properties
from torkd.broker.rabbitmq.channel import NOT_FOUND
from torkd.broker.rabbitmq.encoding import Encoding, NotForUs, Undecodable, message_properties
from torkd.broker.rabbitmq.errand import Errand, Got, Refused
from torkd.broker.rabbitmq.publisher import Outgoing, Publisher
from torkd.sealing import Damaged, KeyMissing

AT_ONCE, AT_ONCE_BYTES = 200, 4_000_000
"""So much is published anew before the older form of it is let go; but for a single message, however large."""
MOST_HELD = 100_000
"""RabbitMQ remembers each of them. A queue with more in front of one of before has to become shorter."""
LOGS_SECONDS = 10.0
"""How long the queue of logs may take to be read. Its order counts, so nothing of it is sent again."""
_LOOK_SECONDS = 0.2
BY = "x-tork-resealed"
"""The header of what this has published: by whom."""


@dataclass(slots=True)
class Rested:
    """What was found, by queue. Those of which there is nothing to say are left out."""

    done: dict[str, int] = field(default_factory=dict)
    """Messages that were sealed anew; or that are to be, where they were only counted."""
    left: dict[str, int] = field(default_factory=dict)
    """Messages that are still as they were, at least."""
    damaged: list[str] = field(default_factory=list)
    """Sentences about those that can't be opened."""


@dataclass(slots=True)
class _Look:
    """At one queue."""

    queue: str
    is_count: bool
    known: frozenset[str] = frozenset()
    """The ids of dead letters that are sealed as wanted."""
    older: list[Got] = field(default_factory=list)
    got: int = 0
    done: int = 0
    is_over: bool = False
    is_cut_short: bool = False
    problems: list[str] = field(default_factory=list)


class Resealing:
    """Over open connections; `errand` makes a channel, and `publisher` confirms."""

    def __init__(self, publisher: Publisher, encoding: Encoding) -> None:
        self._publisher, self._encoding = publisher, encoding
        self._pass = uuid.uuid4().hex

    def run(self, queues: Iterable[tuple[str, Errand]], *, only_count: bool) -> Rested:
        """Go through the queues, each with a channel of its own. Raises `BrokerUnavailable`."""
        rested = Rested()
        for queue, errand in queues:
            if queue == HEARTBEAT:
                continue  # they are gone in seconds
            try:
                with errand:
                    if queue == LOGS:
                        if not only_count:
                            self._wait_for_logs(errand, rested)
                    else:
                        self._look(errand, _Look(queue, only_count), rested)
            except Refused as refused:
                if refused.code != NOT_FOUND:
                    raise
        return rested

    def _wait_for_logs(self, errand: Errand, rested: Rested) -> None:
        deadline = time.monotonic() + LOGS_SECONDS
        while (size := errand.declare(LOGS, passive=True)[0]) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        if size:
            rested.left[LOGS] = size

    def _look(self, errand: Errand, look: _Look, rested: Rested) -> None:
        if look.queue == DEAD and not look.is_count:
            look.known = self._known_letters(errand)
        while not look.is_over:
            self._take(errand, look)
            if not look.is_count:
                self._replace(errand, look)
            look.done += len(look.older)
            look.older = []
        errand.give_back(look.queue)
        if look.done:
            rested.done[look.queue] = look.done
        if look.is_cut_short or look.problems:
            rested.left[look.queue] = max(len(look.problems), 1)
        rested.damaged += look.problems

    def _replace(self, errand: Errand, look: _Look) -> None:
        new = [got for got in look.older if got[1].message_id not in look.known]
        self._publisher.publish([self._anew(look.queue, got) for got in new])
        for tag, _, _ in look.older:
            errand.ack(tag)

    def _known_letters(self, errand: Errand) -> frozenset[str]:
        """Those that a look that was killed had published already, among others."""
        known: set[str] = set()
        for _ in range(MOST_HELD):
            got = errand.get(DEAD)
            if got is None:
                break
            with suppress(Damaged):
                if got[1].message_id and self._is_as_wanted(DEAD, got):
                    known.add(got[1].message_id)
        errand.give_back(DEAD)
        return frozenset(known)

    def _take(self, errand: Errand, look: _Look) -> None:
        """Some that are to be sealed anew; the others are held."""
        size = 0
        while len(look.older) < AT_ONCE and size < AT_ONCE_BYTES:
            got = errand.get(look.queue)
            if got is None or self._is_last(got):
                look.is_over = True
                return
            try:
                if not self._is_as_wanted(look.queue, got):
                    self._open(got)
                    look.older.append(got)
                    size += len(got[2])
            except (KeyMissing, Damaged) as error:
                which = f" {got[1].message_id}" if got[1].message_id else ""
                look.problems.append(f"the message{which} in the queue '{look.queue}' is left as it is: {error}")
            look.got += 1
            if look.got - (0 if look.is_count else look.done + len(look.older)) >= MOST_HELD:
                look.is_over = look.is_cut_short = True
                return

    def _is_last(self, got: Got) -> bool:
        """Whether all behind it was sent later: it is of this pass, and nothing has a lower priority."""
        return _headers(got).get(BY) == self._pass and not got[1].priority

    def _is_as_wanted(self, queue: str, got: Got) -> bool:
        body, seal = got[2], self._encoding.seal
        if queue == DEAD:
            reason = str(_headers(got).get(REASON, ""))
            return seal.is_as_wanted(body) and (not reason or seal.is_text_as_wanted(reason))
        return seal.is_as_wanted(body) or not (seal.is_sealed(body) or self._is_ours(body))

    def _is_ours(self, body: bytes) -> bool:
        """A queue of others, on the same virtual host, is no business of ours."""
        for reading in (self._encoding.tasks, self._encoding.events):
            try:
                reading.read(body)
            except (Undecodable, NotForUs):
                continue
            return True
        return False

    def _open(self, got: Got) -> tuple[bytes, str]:
        seal = self._encoding.seal
        return seal.open(got[2]), seal.open_text(str(_headers(got).get(REASON, "")))

    def _anew(self, queue: str, got: Got) -> Outgoing:
        body, reason = self._open(got)
        seal, found = self._encoding.seal, got[1]
        if queue == DEAD:
            headers = {**_headers(got)} | ({REASON: seal.seal_text(reason)} if REASON in _headers(got) else {})
            properties = dead_properties(found.message_id, headers | {BY: self._pass})
        else:
            properties = message_properties(found.priority)
            properties.headers = {BY: self._pass}
        return Outgoing(queue, seal.seal(body), properties)


def _headers(got: Got) -> Mapping[str, Any]:
    return got[1].headers or {}
