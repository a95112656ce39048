"""Random jobs in a random world: whatever happens, the promises of the engine hold and every job ends."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.builders import a_job, a_parallel, a_subjob, a_task, an_each
from tests.support.engine_world import World
from tork.job import JobDefinition, JobState
from tork.task import Retry, TaskDefinition, TaskState
from torkd.broker.messages import RunOutcome
from torkd.engine.events import (
    CancelRequested,
    ChildrenDue,
    EventFailed,
    RestartRequested,
    RetryRequested,
    SkipRequested,
)

NODES = ("n1", "n2", "n3")
CONDITIONS = st.sampled_from(["", "", "", "true", "false", "{{ tasks.x == '' }}"])
ELEMENT_CONDITIONS = st.sampled_from(["", "", "{{ int(item.index) % 2 == 0 }}", "{{ item.index == '0' }}", "false"])
RETRIES = st.sampled_from([None, None, Retry(limit=1), Retry(limit=2, initial_delay="0s")])
ON_FAILURE = st.sampled_from(["", "stop", "continue"])
SIZES = st.sampled_from([0, 1, 2, 3, 5, 8])
LARGE_SIZES = st.sampled_from([101, 130, 270])
CONCURRENCIES = st.sampled_from([0, 1, 2, 3, 120])


def leaves(conditions: st.SearchStrategy[str]) -> st.SearchStrategy[TaskDefinition]:
    return st.builds(
        a_task,
        st.just("leaf"),
        var=st.sampled_from(["", "x", "y"]),
        if_=conditions,
        retry=RETRIES,
        cmd=st.sampled_from([[], [], ["{{ tasks.x }}"], ["{{ tasks.x }}"], ["{{ int(tasks.x + 'no number') }}"]]),
    )


def lists(size: int) -> str:
    return f"{{{{ sequence(0,{size}) }}}}"


def composites(children: st.SearchStrategy[TaskDefinition]) -> st.SearchStrategy[TaskDefinition]:
    few = st.lists(children, min_size=1, max_size=3)
    output = st.sampled_from(["", "{{ tasks.x }}", "{{ 1 / 'x' }}"])
    return st.one_of(
        few.flatmap(lambda tasks: st.builds(a_parallel, *map(st.just, tasks), if_=CONDITIONS, on_failure=ON_FAILURE)),
        st.builds(
            an_each, SIZES.map(lists), children, concurrency=CONCURRENCIES, if_=CONDITIONS, on_failure=ON_FAILURE
        ),
        st.builds(
            an_each, SIZES.map(lists), leaves(ELEMENT_CONDITIONS), concurrency=CONCURRENCIES, on_failure=ON_FAILURE
        ),
        st.tuples(few, st.booleans(), output).map(
            lambda drawn: a_subjob(*drawn[0], detached=drawn[1], subjob={"output": drawn[2]}, var="y")
        ),
    )


LARGE = st.builds(
    an_each, LARGE_SIZES.map(lists), leaves(ELEMENT_CONDITIONS), concurrency=CONCURRENCIES, on_failure=ON_FAILURE
)
TREES = st.recursive(leaves(CONDITIONS), composites, max_leaves=5)
JOBS = st.lists(TREES, min_size=1, max_size=4).map(lambda steps: a_job(*steps))
LARGE_JOBS = st.tuples(st.lists(leaves(CONDITIONS), max_size=1), LARGE).map(lambda drawn: a_job(*drawn[0], drawn[1]))

NUMBERS = st.integers(0, 1_000)
SELDOM = st.sampled_from([True, False, False, False, False, False])
"""What ends or delays a job happens seldom enough for much else to happen before."""


class Installation(RuleBasedStateMachine):
    """People, workers, brokers and coordinators, each doing what it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @initialize(job=JOBS | LARGE_JOBS)
    def submit(self, job: JobDefinition) -> None:
        self.world.submit(job)

    @precondition(lambda self: self.world.queue)
    @rule(number=NUMBERS, count=st.integers(1, 8), node_id=st.sampled_from(NODES))
    def workers_take_tasks(self, number: int, count: int, node_id: str) -> None:
        for _ in range(min(count, len(self.world.queue))):
            self.world.deliver(number, node_id)

    @precondition(lambda self: self.world.queue)
    @rule(number=NUMBERS, keep=st.booleans())
    def the_broker_delivers_a_task_again_or_loses_it(self, number: int, keep: bool) -> None:
        delivery = self.world.queue.pop(number % len(self.world.queue))
        if keep:
            self.world.queue += [delivery, delivery]

    @precondition(lambda self: self.world.working())
    @rule(number=NUMBERS, count=st.integers(1, 8), good=st.booleans(), bad=st.sampled_from(list(RunOutcome)))
    def runs_end(self, number: int, count: int, good: bool, bad: RunOutcome) -> None:
        for _ in range(count):
            working = self.world.working()
            if working:
                self.world.end(working[number % len(working)], RunOutcome.COMPLETED if good else bad)

    @precondition(lambda self: self.world.working())
    @rule(number=NUMBERS, percent=st.sampled_from([-1.0, 0.0, 30.0, 60.0, 100.0, 130.0]))
    def a_run_tells_its_progress(self, number: int, percent: float) -> None:
        working = self.world.working()
        self.world.progress(working[number % len(working)], percent)

    @precondition(lambda self: self.world.mail)
    @rule(number=NUMBERS, count=st.integers(1, 10), keep=st.booleans())
    def a_coordinator_handles_some_messages(self, number: int, count: int, keep: bool) -> None:
        mail = self.world.mail
        batch = [mail.pop(number % len(mail)) for _ in range(min(count, len(mail)))]
        self.world.handle(batch)
        if keep:
            mail.append(batch[0])

    @precondition(lambda self: self.world.mail)
    @rule(number=NUMBERS)
    def the_broker_loses_a_message(self, number: int) -> None:
        self.world.mail.pop(number % len(self.world.mail))

    @rule(count=st.integers(1, 10), node_id=st.sampled_from(NODES))
    def all_goes_well_for_a_while(self, count: int, node_id: str) -> None:
        world = self.world
        for _ in range(min(count, len(world.queue))):
            world.deliver(0, node_id)
        for run in world.working()[:count]:
            world.end(run, RunOutcome.COMPLETED)
        for _ in range(min(count * 2, len(world.mail))):
            world.handle([world.mail.pop(0)])

    @rule(node_id=st.sampled_from(NODES), now=SELDOM)
    def a_worker_dies(self, node_id: str, now: bool) -> None:
        if now:
            self.world.kill(node_id)

    @rule(node_id=st.sampled_from(NODES))
    def a_worker_is_restarted_while_its_runs_go_on(self, node_id: str) -> None:
        self.world.restart(node_id)

    @rule(node_id=st.sampled_from(NODES))
    def a_worker_is_thought_dead(self, node_id: str) -> None:
        self.world.incarnations[node_id] += 1
        self.world.end_leases()

    @rule()
    def time_passes(self) -> None:
        self.world.wake()

    @rule(now=SELDOM)
    def the_broker_is_wiped(self, now: bool) -> None:
        if now:
            self.world.mail.clear()
            self.world.send_again()

    @rule(number=NUMBERS, now=SELDOM)
    def somebody_cancels_a_job(self, number: int, now: bool) -> None:
        jobs = list(self.world.model.jobs.values())
        jobs = [job for job in jobs if job.state.is_active] or jobs
        job = jobs[-1 - number % len(jobs)]
        if now:
            self.world.handle([CancelRequested(job_id=job.id, root_id=job.root_id)])

    @rule(number=NUMBERS)
    def somebody_restarts_a_job(self, number: int) -> None:
        jobs = [job for job in self.world.model.jobs.values() if job.parent_job_id is None]
        job = jobs[number % len(jobs)]
        self.world.handle([RestartRequested(job_id=job.id, root_id=job.root_id)])

    @rule(number=NUMBERS, one=st.booleans())
    def somebody_wants_what_failed_to_be_run_again(self, number: int, one: bool) -> None:
        model = self.world.model
        ended = [task for task in model.tasks.values() if not task.state.is_active or task.failures]
        jobs = list(model.jobs.values())
        job = jobs[number % len(jobs)]
        task_id = ""
        if one and ended:
            task = ended[-1 - number % len(ended)]
            job, task_id = model.jobs[task.job_id], task.id
        self.world.handle([RetryRequested(job_id=job.id, root_id=job.root_id, task_id=task_id)])

    @rule(number=NUMBERS, now=SELDOM)
    def somebody_skips_a_task(self, number: int, now: bool) -> None:
        tasks = list(self.world.model.tasks.values())
        failed = [task for task in tasks if not task.state.is_active and task.state is not TaskState.COMPLETED]
        tasks = failed if failed and not now else tasks
        task = tasks[-1 - number % len(tasks)]
        if now or failed:
            skip = SkipRequested(task_id=task.id, job_id=task.job_id, root_id=task.root_id, reason="by hand")
            self.world.handle([skip])

    @rule(number=NUMBERS, now=SELDOM, really=SELDOM)
    def an_event_can_not_be_handled(self, number: int, now: bool, really: bool) -> None:
        tasks = list(self.world.model.tasks.values())
        task = tasks[number % len(tasks)]
        if now and really:
            self.world.handle([EventFailed(task_id=task.id, job_id=task.job_id, root_id=task.root_id, reason="broken")])

    @invariant()
    def children_that_are_due_are_not_forgotten(self) -> None:
        unfolding = self.world.model.unfolding
        if len(unfolding) > 3:
            self.world.mail.append(unfolding.pop(0))

    def teardown(self) -> None:
        if self.world.model.jobs:
            self.world.run_to_the_end()


TestInstallation = Installation.TestCase
TestInstallation.settings = settings(max_examples=settings().max_examples * 3, stateful_step_count=60)


@given(job=JOBS | LARGE_JOBS)
def test_a_job_whose_tasks_all_succeed_ends_and_does_everything_once(job: JobDefinition) -> None:
    world = World()
    world.submit(job)
    world.run_to_the_end()
    wrong_output = any(row.error for row in world.model.jobs.values())
    assert wrong_output or {row.state for row in world.model.jobs.values()} == {JobState.COMPLETED}
    assert all(task.dispatch <= 1 and task.attempts == 0 for task in world.model.tasks.values())


@settings(max_examples=settings().max_examples // 5)
@given(job=LARGE_JOBS, crashes=st.sets(st.integers(0, 20)))
def test_children_come_although_coming_back_for_them_is_forgotten(job: JobDefinition, crashes: set[int]) -> None:
    world = World()
    world.submit(job)
    for number in range(20):
        if number in crashes:
            world.model.unfolding.clear()
        due: list[ChildrenDue] = world.model.unfolding[:1]
        if due:
            world.model.unfolding.remove(due[0])
            world.handle(due)
    world.run_to_the_end()
    has_failed = any(task.state is TaskState.FAILED for task in world.model.tasks.values())
    assert world.model.jobs["job"].state is (JobState.FAILED if has_failed else JobState.COMPLETED)
