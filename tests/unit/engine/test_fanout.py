"""Parallel and each."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.builders import a_job, a_parallel, a_subjob, a_task, an_each, report_of
from tests.support.engine_play import Play
from tork.job import JobState
from tork.task import Retry, TaskState
from torkd.engine import fanout
from torkd.engine.changes import CreateTask
from torkd.engine.events import ChildrenDue


def names(count: int) -> list[str]:
    return [f"item {number}" for number in range(count)]


def test_the_children_of_a_parallel_start_together() -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b"), a_task("c")), a_task("next")))
    parent = play.task("parallel")
    assert play.sent() == ["a", "b", "c"]
    assert {(task.parent_id, task.position) for task in map(play.task, "abc")} == {(parent.id, 1)}
    assert [play.task(name).item_index for name in "abc"] == [0, 1, 2]
    assert (parent.size, parent.created, parent.released, parent.completions) == (3, 3, 3, 0)


def test_a_parallel_is_done_when_all_its_children_are() -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b")), a_task("next")))
    play.complete("b")
    assert play.task("parallel").state.value == "RUNNING"
    play.complete("a")
    parent = play.task("parallel")
    assert (parent.state, parent.completions, parent.progress, parent.result) == (TaskState.COMPLETED, 2, 100.0, None)
    assert play.states()["next"] == "SCHEDULED"


def test_each_runs_its_task_for_every_element() -> None:
    play = Play(a_job(an_each("{{ ['x','y'] }}", a_task("t", cmd=["{{ item.index }}", "{{ item.value }}"]))))
    assert [task.spec.cmd for task in play.instances("t") if task.spec] == [["0", "x"], ["1", "y"]]


def test_the_elements_have_the_name_that_each_gives_them() -> None:
    play = Play(a_job(an_each("{{ [7] }}", a_task("t", cmd=["{{ n.value }} {{ n.index }}"]), each_var="n")))
    assert play.spec("t").cmd == ["7 0"]


def test_an_each_inside_an_each_sees_the_outer_element() -> None:
    inner = an_each("{{ [1,2] }}", a_task("{{ outer.value }}{{ item.value }}"), name="inner")
    play = Play(a_job(an_each("{{ ['a','b'] }}", inner, each_var="outer", name="outer")))
    assert play.sent() == ["a1", "a2", "b1", "b2"]


def test_the_list_of_an_inner_each_may_come_from_the_outer_element() -> None:
    inner = an_each("{{ item.value }}", a_task("t{{ item.value }}"), name="inner")
    play = Play(a_job(an_each("{{ [[1,2],[],[3]] }}", inner, name="outer")))
    assert play.sent() == ["t1", "t2", "t3"]
    assert [task.state.value for task in play.instances("inner")] == ["RUNNING", "COMPLETED", "RUNNING"]


def test_parallel_and_sub_jobs_inside_an_each_see_the_element() -> None:
    both = a_parallel(
        a_task("p{{ item.value }}"), a_subjob(a_task("s{{ inputs.n }}"), subjob={"inputs": {"n": "{{ item.value }}"}})
    )
    play = Play(a_job(an_each("{{ [1,2] }}", both)))
    assert play.sent() == ["p1", "s1", "p2", "s2"]


def test_an_element_that_is_held_back_still_sees_the_outer_element_when_its_turn_comes() -> None:
    inner = an_each("{{ [1] }}", a_task("{{ outer.value }}{{ item.value }}"), name="inner")
    play = Play(a_job(an_each("{{ ['a','b'] }}", inner, each_var="outer", name="outer", concurrency=1)))
    assert play.sent() == ["a1"]
    play.complete("a1")
    assert play.sent() == ["a1", "b1"]


def test_an_each_over_an_empty_list_is_done_at_once() -> None:
    play = Play(a_job(an_each("{{ [] }}"), a_task("next")))
    each = play.task("each")
    assert (each.state, each.size, each.progress) == (TaskState.COMPLETED, 0, 100.0)
    assert play.states()["next"] == "SCHEDULED"
    assert play.job.progress == 50.0


@pytest.mark.parametrize("items", ["{{ 5 }}", "{{ 'text' }}", "{{ {'a': 1} }}", "{{ fromJSON('null') }}"])
def test_an_each_over_something_else_fails(items: str) -> None:
    play = Play(a_job(an_each(items)))
    assert (play.job.state, play.job.error) == (JobState.FAILED, "each.list does not evaluate to a list")
    assert play.task("each").state is TaskState.FAILED


def test_an_each_over_a_list_that_was_a_result() -> None:
    play = Play(a_job(a_task("a", var="list"), an_each("{{ fromJSON(tasks.list) }}", a_task("t{{ item.value }}"))))
    play.complete("a", result='["x", "y"]')
    assert play.sent() == ["a", "tx", "ty"]


def test_no_more_children_run_than_the_concurrency_allows_and_they_start_in_order() -> None:
    play = Play(a_job(an_each("{{ sequence(0,5) }}", concurrency=2)))
    assert play.sent() == names(2)
    play.complete("item 1")
    assert play.sent() == names(3)
    play.complete("item 0", "item 2")
    assert play.sent() == names(5)
    play.complete("item 4", "item 3")
    assert play.job.state is JobState.COMPLETED


def test_children_that_end_in_one_batch_are_replaced_in_order() -> None:
    play = Play(a_job(an_each("{{ sequence(0,9) }}", concurrency=3)))
    play.handle(*[report_of(play.task(name)) for name in ("item 2", "item 0", "item 1")])
    assert play.sent() == names(6)


def test_a_skipped_child_makes_room_for_the_next() -> None:
    child = a_task("item {{ item.index }}", if_="{{ item.value % 2 == 0 }}")
    play = Play(a_job(an_each("{{ sequence(0,6) }}", child, concurrency=1)))
    assert play.sent() == ["item 0"]
    play.complete("item 0")
    assert play.sent() == ["item 0", "item 2"]
    play.complete("item 2", "item 4")
    assert play.job.state is JobState.COMPLETED


def test_many_skipped_children_in_a_row_do_not_stop_the_rest() -> None:
    child = a_task("item {{ item.index }}", if_="{{ item.value in [0, 1499] }}")
    play = Play(a_job(an_each("{{ sequence(0,1500) }}", child, concurrency=1)))
    play.complete("item 0", "item 1499")
    assert play.job.state is JobState.COMPLETED
    assert play.sent() == ["item 0", "item 1499"]


def test_a_retried_child_keeps_its_place_in_the_window() -> None:
    child = a_task("item {{ item.index }}", retry=Retry(limit=1))
    play = Play(a_job(an_each("{{ sequence(0,3) }}", child, concurrency=1)))
    play.fail("item 0")
    play.retry("item 0")
    assert play.sent() == ["item 0", "item 0"]
    assert [task.item_index for task in play.instances("item 0")] == [0, 0]
    each = play.task("each")
    assert (each.created, each.released, each.completions) == (3, 1, 0)
    play.complete("item 0")
    assert play.sent()[-1] == "item 1"


def test_a_long_list_is_stored_and_unfolded_in_chunks() -> None:
    play = Play(a_job(an_each("{{ sequence(0,1200) }}")), unfold=False)
    each = play.task("each")
    assert (each.size, each.created) == (1200, fanout.FIRST_CHUNK)
    assert len(play.model.items[each.id]) == 1200
    counts = []
    while play.model.unfolding:
        outcome = play.handle(play.model.unfolding.pop(0))
        counts.append(sum(isinstance(change, CreateTask) for change in outcome.changes[0]))
    assert max(counts) <= fanout.CHUNK
    assert play.task("each").created == 850, "a whole chunk at a time, at most 1,000 ahead"
    play.handle(*[report_of(play.task(f"item {number}")) for number in range(150)])
    assert [due.task_id for due in play.model.unfolding] == [each.id]


def test_a_list_of_a_hundred_is_not_stored() -> None:
    play = Play(a_job(an_each("{{ sequence(0,100) }}")), unfold=False)
    assert (play.model.items, play.model.unfolding, len(play.sent())) == ({}, [], 100)


def test_all_elements_of_a_long_list_run_in_order_and_see_their_value() -> None:
    child = a_task("item {{ item.index }}", cmd=["{{ item.value }}"])
    play = Play(a_job(an_each("{{ map(sequence(0,1100), # * 2) }}", child)))
    play.run_all()
    assert play.sent() == names(1100)
    assert play.spec("item 1099").cmd == ["2198"]
    each = play.task("each")
    assert (each.completions, each.created, each.released) == (1100, 1100, 1100)


def test_a_large_parallel_is_unfolded_in_chunks_too() -> None:
    play = Play(a_job(a_parallel(*[a_task(f"item {n}", cmd=["{{ job.id }}"]) for n in range(300)])))
    play.run_all()
    assert play.sent() == names(300)
    assert play.spec("item 299").cmd == ["job"]


def test_without_a_concurrency_at_most_a_thousand_children_are_handed_out() -> None:
    play = Play(a_job(an_each("{{ sequence(0,2500) }}")))
    most = 0
    while play.job.state.is_active:
        out = play.named(TaskState.SCHEDULED)
        most = max(most, len(out))
        play.handle(*[report_of(play.task(name)) for name in out[:200]])
    assert 750 < most <= 1000
    assert play.sent() == names(2500)


def test_a_concurrency_above_a_thousand_is_honoured() -> None:
    play = Play(a_job(an_each("{{ sequence(0,2500) }}", concurrency=1800)))
    assert 1550 < len(play.sent()) <= 1800


def test_children_are_made_only_a_bounded_number_ahead() -> None:
    play = Play(a_job(an_each("{{ sequence(0,5000) }}", concurrency=1)))
    assert len(play.model.tasks) <= 1001
    play.complete(*names(300))
    assert len(play.model.tasks) <= 1301
    assert play.sent() == names(301)


def test_eaches_within_eaches_are_not_all_made_at_once() -> None:
    inner = an_each("{{ sequence(0,80) }}", a_task("t"), name="inner")
    play = Play(a_job(an_each("{{ sequence(0,90) }}", inner, name="outer")), unfold=False)
    assert len(play.model.tasks) < 800
    while play.model.unfolding:
        play.handle(play.model.unfolding.pop(0))
    assert len(play.instances("t")) == 90 * 80


def test_children_due_more_often_than_needed_change_nothing() -> None:
    play = Play(a_job(an_each("{{ sequence(0,150) }}", concurrency=5)))
    each = play.task("each")
    due = ChildrenDue(task_id=each.id, job_id="job", root_id="job")
    assert play.handle(due, due).changes == [[], []]
    play.cancel()
    assert play.handle(due).changes == [[]]


def test_children_due_twice_in_one_batch_are_made_once() -> None:
    play = Play(a_job(an_each("{{ sequence(0,400) }}")), unfold=False)
    due = play.model.unfolding.pop()
    play.handle(due, due)
    assert [task.item_index for task in play.model.tasks.values() if task.parent_id] == list(range(350))


def test_a_child_made_and_released_in_the_same_batch_is_handed_out() -> None:
    play = Play(a_job(an_each("{{ sequence(0,400) }}", concurrency=120)), unfold=False)
    due = play.model.unfolding.pop()
    play.handle(due, *[report_of(play.task(name)) for name in names(30)])
    assert play.sent() == names(150)


def test_children_are_made_and_released_again_when_coming_back_was_forgotten() -> None:
    child = a_task("item {{ item.index }}", if_="{{ item.value in [0, 600] }}")
    play = Play(a_job(an_each("{{ sequence(0,601) }}", child, concurrency=1)), unfold=False)
    while due := play.model.with_room() or play.model.unfolding:
        play.model.unfolding.clear()
        play.handle(*due)
    play.complete("item 0")
    while due := play.model.with_room():
        play.model.unfolding.clear()
        play.handle(*due)
    assert play.sent() == ["item 0", "item 600"]


def test_a_child_of_a_later_chunk_that_can_not_be_made_fails_the_job() -> None:
    child = a_task("item {{ item.index }}", image="{{ item.value == 130 ? nope : 'x' }}")
    play = Play(a_job(an_each("{{ sequence(0,300) }}", child)))
    assert play.job.state is JobState.FAILED
    assert not any(task.state.is_active for task in play.model.tasks.values())


def test_time_of_release_is_the_scheduled_time() -> None:
    play = Play(a_job(an_each("{{ [1,2] }}", concurrency=1)))
    play.model.pass_time(timedelta(minutes=1))
    play.complete("item 0")
    task = play.task("item 1")
    assert task.created_at is not None
    assert task.scheduled_at == task.created_at + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("items", "value"),
    [
        pytest.param("{{ [duration('90m')] }}", "1h30m0s", id="a duration"),
        pytest.param("{{ [1 / 0.0] }}", "+Inf", id="an infinite number"),
        pytest.param("{{ [1.5] }}", "1.5", id="a number"),
        pytest.param("{{ [nil] }}", "<nil>", id="nothing"),
        pytest.param("{{ [[1, 'x'], 2] }}", "[1 x]", id="a list"),
        pytest.param("{{ [{'a': duration('1s')}] }}", "map[a:1s]", id="a map"),
    ],
)
def test_an_element_of_any_kind_looks_the_same_now_and_when_it_comes_from_the_store(items: str, value: str) -> None:
    inner = a_parallel(a_task("t", cmd=["{{ item.value }}"]))
    play = Play(a_job(an_each(items, inner, concurrency=1)))
    assert play.instances("t")[0].spec == play.spec("t")
    assert play.spec("t").cmd == [value]


@pytest.mark.parametrize("size", [3, 150], ids=["made at once", "from the store"])
def test_a_date_in_a_list_becomes_its_text(size: int) -> None:
    items = f"{{{{ map(sequence(0,{size}), date('2026-01-02')) }}}}"
    play = Play(a_job(an_each(items, a_task("item {{ item.index }}", cmd=["{{ item.value }}"]))))
    first, last = play.spec("item 0"), play.spec(f"item {size - 1}")
    assert first.cmd == last.cmd
    assert first.cmd[0].startswith("2026-01-02")


def test_children_that_are_skipped_while_they_are_made_cause_no_coming_back() -> None:
    play = Play(a_job(an_each("{{ sequence(0,50) }}", a_task("t", if_="{{ item.index == '49' }}"))), unfold=False)
    assert play.model.unfolding == []
    assert play.sent() == ["t"]
