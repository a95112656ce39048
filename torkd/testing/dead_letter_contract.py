"""What a broker owes to those who look after messages that nobody can handle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tork import wire
from tork.dead_letter import DeadLetter
from tork.errors import NotFound
from torkd.broker.messages import RunClaimed
from torkd.broker.protocol import Broker
from torkd.broker.queues import COMPLETED, DEAD, STARTED
from torkd.testing.messages import a_claim, a_report
from torkd.testing.waiting import wait_until

SOON = 5.0
NOT_YET = 0.05


def bury(broker: Broker, *run_ids: str) -> list[DeadLetter]:
    """Claims of these runs, buried one after the other: what is dead then."""
    before = len(broker.dead_letters(100))
    reader = broker.consume_events([STARTED])
    for number, run_id in enumerate(run_ids, start=before + 1):
        broker.publish_events([a_claim(run_id)])
        (delivery,) = reader.receive(1, SOON)
        reader.bury(delivery, f"no sense in {run_id}")
        wait_until(lambda number=number: len(broker.dead_letters(100)) == number)  # type: ignore[misc] # mypy infers no lambda with a default
    reader.close()
    return broker.dead_letters(100)


def dead_size(broker: Broker) -> int:
    return next(queue.size for queue in broker.queues() if queue.name == DEAD)


class DeadLetterContract:
    """What can't be handled: kept, shown, replayed, removed."""

    @pytest.fixture
    def broker(self) -> Broker:
        """An open and empty broker, closed at the end."""
        raise NotImplementedError("let the class have a fixture `broker` that makes yours: open, and empty")

    def test_nothing_is_dead_at_first(self, broker: Broker) -> None:
        assert broker.dead_letters(100) == []
        assert broker.purge_dead() == 0

    def test_a_dead_letter_says_what_it_is_where_it_was_read_and_why_it_was_buried(self, broker: Broker) -> None:
        (letter,) = bury(broker, "r1")
        assert letter.id
        assert (letter.queue, letter.reason, letter.kind) == (STARTED, "no sense in r1", "claimed")
        assert wire.decode(letter.body, RunClaimed) == a_claim("r1")
        assert abs(letter.buried_at - datetime.now(UTC)) < timedelta(minutes=1)

    def test_of_a_long_reason_in_any_language_the_beginning_is_kept(self, broker: Broker) -> None:
        reason = "Ünsinn 出来ない\n" * 20_000
        reader = broker.consume_events([STARTED])
        broker.publish_events([a_claim("r1")])
        (delivery,) = reader.receive(1, SOON)
        reader.bury(delivery, reason)
        wait_until(lambda: len(broker.dead_letters(10)) == 1)
        (letter,) = broker.dead_letters(10)
        assert letter.reason.startswith(reason[:1000])

    def test_looking_at_dead_letters_leaves_them_as_they_are_the_oldest_first(self, broker: Broker) -> None:
        bury(broker, "r1", "r2", "r3")
        assert [letter.reason[-2:] for letter in broker.dead_letters(2)] == ["r1", "r2"]
        first, again = broker.dead_letters(10), broker.dead_letters(10)
        assert first == again
        assert [letter.reason[-2:] for letter in first] == ["r1", "r2", "r3"]
        wait_until(lambda: dead_size(broker) == 3)

    def test_a_replayed_letter_goes_back_to_where_it_was_read(self, broker: Broker) -> None:
        letters = bury(broker, "r1", "r2")
        broker.replay_dead(letters[0].id)
        assert [letter.id for letter in broker.dead_letters(10)] == [letters[1].id]
        assert not broker.consume_events([COMPLETED]).receive(1, NOT_YET)
        (delivery,) = broker.consume_events([STARTED]).receive(10, SOON)
        assert delivery.message == a_claim("r1")

    def test_a_replayed_letter_may_be_buried_again(self, broker: Broker) -> None:
        (letter,) = bury(broker, "r1")
        broker.replay_dead(letter.id)
        reader = broker.consume_events([STARTED])
        (delivery,) = reader.receive(10, SOON)
        reader.bury(delivery, "still none")
        wait_until(lambda: [dead.reason for dead in broker.dead_letters(10)] == ["still none"])

    def test_a_removed_letter_is_gone_for_good(self, broker: Broker) -> None:
        letters = bury(broker, "r1", "r2", "r3")
        broker.remove_dead(letters[1].id)
        assert [letter.id for letter in broker.dead_letters(10)] == [letters[0].id, letters[2].id]
        assert not broker.consume_events([STARTED]).receive(1, NOT_YET)

    def test_purging_drops_all_dead_letters_and_says_how_many(self, broker: Broker) -> None:
        bury(broker, "r1", "r2", "r3")
        wait_until(lambda: dead_size(broker) == 3)
        broker.publish_events([a_report("r4")])
        assert broker.purge_dead() == 3
        assert broker.dead_letters(10) == []
        assert broker.consume_events([COMPLETED]).receive(1, SOON)

    def test_an_unknown_letter_can_be_neither_replayed_nor_removed(self, broker: Broker) -> None:
        (letter,) = bury(broker, "r1")
        broker.remove_dead(letter.id)
        for refuse in (broker.replay_dead, broker.remove_dead):
            with pytest.raises(NotFound, match=letter.id):
                refuse(letter.id)
