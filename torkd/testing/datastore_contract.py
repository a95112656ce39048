"""What a datastore owes to coordinators and to those who read.

Everything here goes through the port. Batches are handled as a coordinator does it, by `torkd.coordinator.handle`.
"""

from __future__ import annotations

import itertools
import threading
from datetime import UTC, datetime, timedelta

import pytest

from tork.account import GUEST_ID
from tork.errors import DatastoreUnavailable, IdempotencyConflict, NotFound, StateConflict
from tork.job import JobDefinition, JobState
from tork.task import Each, Parallel, Retry, SubJob, TaskDefinition, TaskState
from torkd.broker.messages import LogPrinted, RunClaimed, RunEnded, RunOutcome
from torkd.coordinator.handle import Handled, handle
from torkd.datastore.protocol import Accepted, Beginning, Datastore, Dispatch, IdempotencyKey, JobQuery
from torkd.engine.changes import OrderKind
from torkd.engine.events import (
    CancelRequested,
    ChildrenDue,
    EngineEvent,
    JobSubmitted,
    RetryDue,
    RetryRequested,
    SkipRequested,
)
from torkd.engine.rows import TaskRow
from torkd.testing.messages import a_heartbeat

NODE = "n1"


class Playing:
    """Jobs on a datastore. Remembers of each task what the last batch that had it in hand made of it."""

    def __init__(self, datastore: Datastore) -> None:
        self.datastore = datastore
        self.now = datetime.now(UTC)
        self._numbers = itertools.count(1)
        self._rows: dict[str, TaskRow] = {}

    def new_id(self) -> str:
        """Ids in the order of their making."""
        return f"id{next(self._numbers):08d}"

    def handle(self, *events: EngineEvent, wait: float = 0.0) -> Handled:
        """Handle a batch; a failure of one of the events is raised."""
        handled = handle(self.datastore, events, now=self.now, new_id=self.new_id, wait=wait)
        if handled.failed:
            raise handled.failed[0][1]
        self._rows |= handled.view.tasks
        return handled

    def submit(self, *tasks: TaskDefinition, job_id: str = "job", **fields: object) -> Handled:
        """Submit a job of these tasks."""
        definition = JobDefinition(name=job_id, tasks=list(tasks) or [a_task("only")], **fields)  # type: ignore[arg-type] # a test names the fields it is about
        return self.handle(JobSubmitted(job_id=job_id, definition=definition, created_by=GUEST_ID))

    def task(self, name: str, job_id: str = "job") -> TaskRow:
        """The newest task of that name."""
        return [row for row in self._rows.values() if (row.name, row.job_id) == (name, job_id)][-1]

    def claim(self, name: str, job_id: str = "job") -> Handled:
        """A worker starts the task."""
        return self.handle(a_claim(self.task(name, job_id), self.now))

    def report(
        self,
        name: str,
        job_id: str = "job",
        *,
        outcome: RunOutcome = RunOutcome.COMPLETED,
        result: str = "",
        error: str = "",
    ) -> RunEnded:
        """What a worker says at the end of the task."""
        task = self.task(name, job_id)
        return RunEnded(
            task_id=task.id,
            job_id=task.job_id,
            root_id=task.root_id,
            dispatch=task.dispatch,
            run_id=f"run of {task.id}",
            node_id=NODE,
            lease_id="l1",
            outcome=outcome,
            result=result,
            error=error,
            started_at=self.now,
            ended_at=self.now,
        )

    def state(self, job_id: str = "job") -> JobState:
        """The job's."""
        return self.datastore.get_summary(job_id).state


def a_task(name: str, **fields: object) -> TaskDefinition:
    """A task that a worker runs."""
    return TaskDefinition(name=name, run="true", **fields)  # type: ignore[arg-type] # a test names the fields it is about


def a_claim(task: TaskRow, now: datetime) -> RunClaimed:
    """A run of the task has started."""
    return RunClaimed(
        task_id=task.id,
        job_id=task.job_id,
        root_id=task.root_id,
        dispatch=task.dispatch,
        run_id=f"run of {task.id}",
        node_id=NODE,
        lease_id="l1",
        started_at=now,
    )


def a_key(name: str = "k", *, owner: str = "ann", body: bytes = b"body") -> IdempotencyKey:
    """A client's name for a submission."""
    return IdempotencyKey(owner=owner, key=name, body=body)


def accept(datastore: Datastore, key: IdempotencyKey, job_id: str) -> Accepted:
    """Take the key in a transaction of its own."""
    with datastore.begin() as batch:
        return batch.accept(key, job_id)


class DatastoreContract:
    """Batches, hand-outs, keys, logs, reading, upkeep: what can be seen through the port."""

    @pytest.fixture
    def datastore(self) -> Datastore:
        """A datastore that is open, and empty, with its schema; closed at the end."""
        raise NotImplementedError("let the class have a fixture `datastore` that makes yours: open, and empty")

    @pytest.fixture
    def playing(self, datastore: Datastore) -> Playing:
        """Jobs on it."""
        return Playing(datastore)

    def test_a_submitted_job_is_stored_with_its_first_task_and_handed_out(self, playing: Playing) -> None:
        handled = playing.submit(a_task("first"), a_task("second"), inputs={"size": "3"}, tags=["x"])
        job = playing.datastore.get_job("job")
        assert (job.state, job.inputs, job.tags, len(job.tasks)) == (JobState.SCHEDULED, {"size": "3"}, ["x"], 2)
        assert [(task.name, task.state) for task in job.execution] == [("first", TaskState.SCHEDULED)]
        assert [row.name for row in handled.view.sent_rows()] == ["first"]
        with playing.datastore.leftovers(older_than_seconds=0, limit=10) as left:
            assert [(task.task_id, task.dispatch) for task in left] == [(job.execution[0].id, 1)]
        with playing.datastore.leftovers(older_than_seconds=0, limit=10) as left:
            assert left == []

    def test_leftovers_stay_when_they_could_not_be_sent(self, playing: Playing) -> None:
        playing.submit()
        with pytest.raises(ZeroDivisionError), playing.datastore.leftovers(older_than_seconds=0, limit=10) as left:
            raise ZeroDivisionError(left)
        with playing.datastore.leftovers(older_than_seconds=0, limit=10) as left:
            assert len(left) == 1

    def test_what_fails_before_its_end_leaves_nothing(self, playing: Playing) -> None:
        event = JobSubmitted(job_id="job", definition=JobDefinition(name="a", tasks=[a_task("t")]), created_by=GUEST_ID)

        def break_off() -> None:
            with playing.datastore.begin() as batch:
                raise ZeroDivisionError(batch.load([event]), batch.accept(a_key(), "job"))

        with pytest.raises(ZeroDivisionError):
            break_off()
        assert accept(playing.datastore, a_key(), "other") == Accepted(job_id="other", repeated=False)
        with pytest.raises(NotFound):
            playing.datastore.get_job("job")

    def test_a_job_goes_through_its_tasks_and_later_ones_read_results(self, playing: Playing) -> None:
        playing.submit(a_task("first", var="x"), a_task("got {{ tasks.x }}"), output="{{ tasks.x }}!")
        playing.claim("first")
        assert playing.state() is JobState.RUNNING
        playing.handle(playing.report("first", result="r"))
        playing.handle(playing.report("got r"))
        job = playing.datastore.get_job("job")
        assert (job.state, job.result, job.context.tasks) == (JobState.COMPLETED, "r!", {"x": "r"})
        assert [task.state for task in job.execution] == [TaskState.COMPLETED] * 2

    def test_a_report_that_comes_twice_counts_once(self, playing: Playing) -> None:
        playing.submit(a_task("first", var="x"), a_task("second"))
        report = playing.report("first", result="once")
        playing.handle(report, report)
        playing.handle(report)
        job = playing.datastore.get_job("job")
        assert [(task.name, task.result) for task in job.execution] == [("first", "once"), ("second", "")]

    def test_children_of_a_parallel_end_their_parent(self, playing: Playing) -> None:
        playing.submit(TaskDefinition(name="both", parallel=Parallel(tasks=[a_task("a"), a_task("b")])))
        playing.handle(playing.report("a"), playing.report("b"))
        assert playing.state() is JobState.COMPLETED

    def test_a_failure_fails_the_job(self, playing: Playing) -> None:
        playing.submit()
        playing.handle(playing.report("only", outcome=RunOutcome.FAILED, error="boom"))
        job = playing.datastore.get_job("job")
        assert (job.state, job.error, job.execution[0].error) == (JobState.FAILED, "boom", "boom")

    def test_a_retry_is_due_when_its_time_has_come(self, playing: Playing) -> None:
        playing.submit(a_task("again", retry=Retry(limit=1, initial_delay="1m")))
        playing.handle(playing.report("again", outcome=RunOutcome.FAILED, error="boom"))

        def due(after: timedelta) -> list[EngineEvent]:
            found = playing.datastore.events_due(now=playing.now + after, lease_seconds=60, limit=10)
            return [event for event in found if isinstance(event, RetryDue)]

        assert due(timedelta()) == []
        assert [event.job_id for event in due(timedelta(hours=1)) if isinstance(event, RetryDue)] == ["job"]

    def test_cancelling_stops_what_runs(self, playing: Playing) -> None:
        playing.submit()
        playing.claim("only")
        handled = playing.handle(CancelRequested(job_id="job", root_id="job"))
        assert [(order.kind, order.node_id) for order in handled.view.orders] == [(OrderKind.STOP, NODE)]
        assert [task.state for task in playing.datastore.get_job("job").execution] == [TaskState.CANCELLED]

    def test_what_failed_is_told_at_the_end_runs_again_and_is_skipped(self, playing: Playing) -> None:
        children = Each(list="{{ ['a', 'b', 'c'] }}", task=a_task("{{ item.value }}"), on_failure="continue")
        playing.submit(TaskDefinition(name="each", each=children), a_task("next"))
        for name in ("a", "c"):
            playing.handle(playing.report(name, outcome=RunOutcome.FAILED, error=f"no {name}"))
        playing.handle(playing.report("b"))
        told = "2 of 3 have failed:\nitem 0 (a): no a\nitem 2 (c): no c"
        assert (playing.state(), playing.datastore.get_summary("job").error) == (JobState.FAILED, told)
        playing.handle(RetryRequested(job_id="job", root_id="job", task_id=playing.task("a").id))
        each = playing.task("each")
        playing.handle(ChildrenDue(task_id=each.id, job_id="job", root_id="job"))
        playing.handle(playing.report("a"))
        assert playing.datastore.get_summary("job").error == "1 of 3 have failed:\nitem 2 (c): no c"
        failed = playing.task("c").id
        playing.handle(SkipRequested(task_id=failed, job_id="job", root_id="job", reason="by hand"))
        skipped = playing.datastore.get_task(playing.task("c").id)
        assert (skipped.state, skipped.reason, skipped.id == failed) == (TaskState.SKIPPED, "by hand", False)
        assert (playing.state(), playing.datastore.get_summary("job").error) == (JobState.RUNNING, "")
        with pytest.raises(StateConflict):
            playing.handle(SkipRequested(task_id=failed, job_id="job", root_id="job", reason="again"))

    def test_a_retry_goes_down_into_a_failed_sub_job(self, playing: Playing) -> None:
        sub = SubJob(name="sub", tasks=[a_task("first"), a_task("second")])
        handled = playing.submit(TaskDefinition(name="outer", subjob=sub))
        (sub_id,) = handled.view.new_jobs - {"job"}
        playing.handle(playing.report("first", sub_id))
        playing.handle(playing.report("second", sub_id, outcome=RunOutcome.FAILED, error="boom"))
        playing.handle(RetryRequested(job_id="job", root_id="job"))
        playing.handle(playing.report("second", sub_id))
        assert (playing.state(sub_id), playing.state()) == (JobState.COMPLETED, JobState.COMPLETED)
        assert len(playing.datastore.get_job(sub_id).execution) == 3

    def test_events_of_a_root_in_other_hands_are_skipped_and_the_others_go_on(self, playing: Playing) -> None:
        playing.submit(job_id="busy")
        playing.submit(job_id="free")
        busy, free = playing.report("only", "busy"), playing.report("only", "free")
        with playing.datastore.begin() as batch:
            batch.load([busy])
            raised: list[BaseException] = []
            skipped: list[EngineEvent] = []

            def others() -> None:
                try:
                    skipped.extend(playing.handle(busy, free).skipped)
                    playing.handle(busy, wait=0.05)
                except BaseException as error:  # noqa: BLE001 -- whatever it is, it is for the assertion below
                    raised.append(error)

            thread = threading.Thread(target=others)
            thread.start()
            thread.join(30)
        assert skipped == [busy]
        assert [type(error) for error in raised] == [DatastoreUnavailable]
        assert (playing.state("busy"), playing.state("free")) == (JobState.SCHEDULED, JobState.COMPLETED)
        playing.handle(busy)
        assert playing.state("busy") is JobState.COMPLETED

    def test_the_same_key_and_body_answer_with_the_first_job(self, datastore: Datastore) -> None:
        assert accept(datastore, a_key(), "j1") == Accepted(job_id="j1", repeated=False)
        assert accept(datastore, a_key(), "j2") == Accepted(job_id="j1", repeated=True)

    def test_the_same_key_with_another_body_is_refused_by_name(self, datastore: Datastore) -> None:
        accept(datastore, a_key(), "j1")
        with pytest.raises(IdempotencyConflict, match="key 'k' was used for job j1 with another body"):
            accept(datastore, a_key(body=b"other"), "j2")

    @pytest.mark.parametrize("other", [a_key("k2"), a_key(owner="bob")], ids=["another key", "another owner"])
    def test_keys_are_told_apart(self, datastore: Datastore, other: IdempotencyKey) -> None:
        accept(datastore, a_key(), "j1")
        assert accept(datastore, other, "j2") == Accepted(job_id="j2", repeated=False)

    def test_log_parts_are_stored_once_and_read_in_order(self, playing: Playing) -> None:
        playing.submit()
        task = playing.task("only")

        def part(number: int, contents: str) -> LogPrinted:
            return LogPrinted(
                task_id=task.id,
                job_id="job",
                run_id="r1",
                dispatch=1,
                number=number,
                contents=contents,
                printed_at=playing.now,
            )

        playing.datastore.add_log_parts([part(1, "one\n"), part(2, "two\n")])
        playing.datastore.add_log_parts([part(2, "again\n"), part(3, "three\n")])
        stored = playing.datastore.log_after(job_id="job", seq=0, limit=10)
        assert [position.part.contents for position in stored] == ["one\n", "two\n", "three\n"]
        page = playing.datastore.task_log(task.id, text="", page=1, size=2)
        assert ([item.contents for item in page.items], page.total_items) == (["three\n", "two\n"], 3)
        place = playing.datastore.log_place("r1", 2, task_id=task.id)
        assert [each.part.number for each in playing.datastore.log_after(task_id=task.id, seq=place, limit=10)] == [3]

    def test_only_current_hand_outs_have_a_message(self, playing: Playing) -> None:
        playing.submit(secrets={"s": "hush"})
        task = playing.task("only")
        current, stale = Dispatch(task_id=task.id, dispatch=1), Dispatch(task_id=task.id, dispatch=7)
        (message,) = playing.datastore.bodies([current, stale])
        assert (message.task_id, message.dispatch, message.definition.name) == (task.id, 1, "only")
        assert "hush" in message.mask

    def test_lists_filter_and_count(self, playing: Playing) -> None:
        for number in range(3):
            playing.submit(job_id=f"j{number}", tags=[f"t{number % 2}"])
        playing.handle(playing.report("only", "j1"))

        def ids(query: JobQuery) -> set[str]:
            return {job.id for job in playing.datastore.list_jobs(query, page=1, size=10).items}

        assert ids(JobQuery()) == {"j0", "j1", "j2"}
        assert ids(JobQuery(states=(JobState.COMPLETED,))) == {"j1"}
        assert ids(JobQuery(tags=("t0",))) == {"j0", "j2"}

    def test_versions_grow_with_each_change_and_tell_what_changed(self, playing: Playing) -> None:
        playing.submit()
        before = playing.datastore.versions_of(["job", "nowhere"])
        playing.claim("only")
        after = playing.datastore.versions_of(["job"])
        assert set(before) == {"job"}
        assert after["job"] > before["job"]
        changes = playing.datastore.job_changes("job", before["job"])
        assert (changes.version, [task.state for task in changes.tasks]) == (after["job"], [TaskState.RUNNING])
        assert playing.datastore.job_changes("job", after["job"]).tasks == []

    def test_secrets_are_known_by_job(self, playing: Playing) -> None:
        playing.submit(secrets={"s": "hush"})
        playing.submit(job_id="open")
        assert playing.datastore.secrets_of("job") == {"s": "hush"}
        assert playing.datastore.secrets_of_each(["job", "open"]) == {"job": {"s": "hush"}}

    def test_the_beginnings_of_jobs_and_tasks_are_told_by_id(self, playing: Playing) -> None:
        playing.submit()
        made = playing.datastore.job_changes("job", 0).tasks[0]
        playing.claim("only")
        found = playing.datastore.beginnings(["job", "gone"], [made.id, "gone"])
        assert set(found) == {"job", made.id}
        task = playing.datastore.get_task(made.id)
        assert found["job"].created_at == playing.datastore.get_summary("job").created_at
        assert task.created_at is not None
        told = Beginning(created_at=task.created_at, scheduled_at=task.scheduled_at, started_at=task.started_at)
        assert found[made.id] == told

    def test_a_node_that_was_heard_of_is_listed(self, datastore: Datastore) -> None:
        datastore.record_heartbeats([a_heartbeat()], gap_seconds=5)
        assert [node.id for node in datastore.nodes()] == [NODE]
        assert datastore.lost_nodes(["never heard of"], lease_seconds=60) in ([], ["never heard of"])

    def test_an_epoch_begins_once(self, playing: Playing) -> None:
        playing.submit()
        with playing.datastore.leftovers(older_than_seconds=0, limit=10) as sent:
            assert len(sent) == 1
        first = playing.datastore.epoch()
        assert playing.datastore.begin_epoch("e1", expected=first)
        assert not playing.datastore.begin_epoch("e2", expected=first)
        assert playing.datastore.epoch() == "e1"
        with playing.datastore.leftovers(older_than_seconds=0, limit=10) as again:
            assert [task.task_id for task in again] == [task.task_id for task in sent]

    def test_what_there_is_not_is_not_found(self, datastore: Datastore) -> None:
        for ask in (datastore.get_job, datastore.get_summary, datastore.get_task, datastore.get_task_summary):
            with pytest.raises(NotFound):
                ask("nowhere")
        assert datastore.root_of("nowhere") is None

    def test_everything_is_forgotten_on_demand(self, playing: Playing) -> None:
        playing.submit()
        playing.datastore.forget_everything()
        with pytest.raises(NotFound):
            playing.datastore.get_job("job")

    def test_a_datastore_that_works_is_healthy_and_has_its_schema(self, datastore: Datastore) -> None:
        datastore.check_health()
        assert datastore.migrate() == []
