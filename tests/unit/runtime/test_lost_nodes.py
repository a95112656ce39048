"""Which dead nodes are lost: what coordinators said, as long as it says something."""

from __future__ import annotations

from torkd.runtime.lost_nodes import LostNodes


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_lost_before_anybody_says_so() -> None:
    nodes = LostNodes(15.0)
    assert nodes.among(["a", "b"]) == set()
    assert nodes.asked == ["a", "b"]


def test_an_answer_counts_for_those_it_names() -> None:
    nodes = LostNodes(15.0)
    nodes.among(["a", "b"])
    nodes.tell(["b"])
    assert nodes.among(["a", "b"]) == {"b"}


def test_an_answer_about_others_says_nothing() -> None:
    nodes = LostNodes(15.0)
    nodes.among(["a"])
    nodes.tell(["b"])
    assert nodes.among(["a", "b"]) == set()


def test_an_answer_is_forgotten_with_the_lease_it_was_about() -> None:
    clock = Clock()
    nodes = LostNodes(15.0, clock=clock)
    nodes.among(["a"])
    nodes.tell(["a"])
    clock.now += 15.0
    assert nodes.among(["a"]) == set()


def test_a_node_that_came_back_is_not_lost_when_it_dies_again() -> None:
    nodes = LostNodes(15.0)
    nodes.among(["a"])
    nodes.tell(["a"])
    nodes.among([])
    assert nodes.among(["a"]) == set()
