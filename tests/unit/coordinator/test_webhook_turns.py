from __future__ import annotations

from torkd.coordinator.webhook_turns import PER_TARGET, SLOW_SECONDS, SLOW_TOGETHER, WebhookTurns


def turns(*running: str, slow: tuple[str, ...] = ()) -> WebhookTurns:
    made = WebhookTurns()
    for target in slow:
        made.tried(target, SLOW_SECONDS + 1)
    for target in running:
        made.begin(target)
    return made


def test_one_server_gets_a_few_lanes() -> None:
    assert turns(*["a"] * (PER_TARGET - 1), "b").busy() == []
    assert turns(*["a"] * PER_TARGET, "b").busy() == ["a"]


def test_a_slow_server_gets_one_lane() -> None:
    assert turns(slow=("a",)).busy() == []
    assert turns("a", "b", slow=("a",)).busy() == ["a"]


def test_slow_servers_get_a_few_lanes_together_whatever_they_had_before() -> None:
    slow = tuple(f"s{number}" for number in range(SLOW_TOGETHER + 2))
    assert set(turns("quick", *slow[:SLOW_TOGETHER], slow=slow).busy()) == set(slow)
    assert set(turns("quick", *[slow[0]] * PER_TARGET, slow=slow).busy()) == set(slow)


def test_a_server_that_answers_again_is_quick_again() -> None:
    made = turns("a", slow=("a",))
    made.tried("a", SLOW_SECONDS - 1)
    assert made.busy() == []


def test_what_has_ended_makes_room() -> None:
    made = turns("a", "a", slow=("a",))
    made.end("a")
    assert made.busy() == ["a"]
    made.end("a")
    assert (made.busy(), made.count) == ([], 0)


def test_of_servers_without_number_the_latest_slow_ones_are_remembered() -> None:
    slow = tuple(f"s{number}" for number in range(1001))
    made = turns("s0", slow[-1], slow=slow)
    assert made.busy() == [slow[-1]]
