"""Playing a job: the moves of people and workers on an `EngineModel`, for tests that tell a story."""

from __future__ import annotations

from typing import Any

from tests.support.builders import claim_of, failure_of, loss_of, progress_of, report_of
from tests.support.engine_model import EngineModel, Outcome
from tork.job import JobDefinition, JobState
from tork.task import TaskDefinition, TaskState
from torkd.broker.messages import RunOutcome
from torkd.engine.events import (
    CancelRequested,
    EngineEvent,
    JobSubmitted,
    RestartRequested,
    RetryDue,
    RetryRequested,
    SkipRequested,
)
from torkd.engine.rows import JobRow, TaskRow


class Play:
    """One submitted job. Tasks are addressed by name: the newest instance counts."""

    def __init__(self, definition: JobDefinition, *, unfold: bool = True) -> None:
        self.model = EngineModel()
        self.unfold = unfold
        """Whether children that are to come later are made at once."""
        self.last = self.handle(JobSubmitted(job_id="job", definition=definition, created_by="ann"))

    def handle(self, *events: EngineEvent) -> Outcome:
        """Handle a batch; an error of one event is raised."""
        self.last = self.model.handle(*events)
        for error in self.last.errors:
            if error is not None:
                raise error
        last = self.last
        while self.unfold and self.model.unfolding:
            self.model.handle(self.model.unfolding.pop(0))
        return last

    @property
    def job(self) -> JobRow:
        """The job."""
        return self.model.jobs["job"]

    def sub_job(self, name: str = "sub") -> JobRow:
        """The newest other job of that name."""
        return [job for job in self.model.jobs.values() if job.name == name and job.id != "job"][-1]

    def task(self, name: str) -> TaskRow:
        """The newest task of that name."""
        return self.instances(name)[-1]

    def instances(self, name: str) -> list[TaskRow]:
        """All tasks of that name, oldest first."""
        return [task for task in self.model.tasks.values() if task.name == name]

    def runs(self, name: str) -> list[str]:
        """The states of all tasks of that name, oldest first."""
        return [task.state.value for task in self.instances(name)]

    def spec(self, name: str) -> TaskDefinition:
        """What the newest task of that name is, its templates evaluated."""
        spec = self.task(name).spec
        assert spec is not None
        return spec

    def states(self) -> dict[str, str]:
        """Name to state of the newest task of each name."""
        return {task.name: task.state.value for task in self.model.tasks.values()}

    def named(self, state: TaskState) -> list[str]:
        """The names of the tasks in that state, in the order of their making."""
        return [task.name for task in self.model.tasks.values() if task.state is state]

    def sent(self) -> list[str]:
        """The names of all tasks handed out so far, in order."""
        return [self.model.tasks[task_id].name for task_id, _ in self.model.outbox]

    def context(self) -> dict[str, str]:
        """The results that tasks of the job can read."""
        return self.model.contexts["job"]["tasks"]

    def claim(self, name: str, **fields: Any) -> Outcome:
        """A worker starts the task."""
        return self.handle(claim_of(self.task(name), **fields))

    def complete(self, *names: str, **fields: Any) -> Outcome:
        """A worker has done the tasks, one after the other."""
        for name in names:
            outcome = self.handle(report_of(self.task(name), **fields))
        return outcome

    def fail(self, name: str, error: str = "boom") -> Outcome:
        """The task fails at a worker."""
        return self.handle(failure_of(self.task(name), error))

    def hand_back(self, name: str, **fields: Any) -> Outcome:
        """The worker shuts down before the task is done."""
        return self.handle(report_of(self.task(name), RunOutcome.HANDED_BACK, **fields))

    def lose(self, name: str, **fields: Any) -> Outcome:
        """The worker of the task dies."""
        return self.handle(loss_of(self.task(name), **fields))

    def progress(self, name: str, percent: float, **fields: Any) -> Outcome:
        """The task tells how far it is."""
        return self.handle(progress_of(self.task(name), percent, **fields))

    def retry(self, name: str) -> Outcome:
        """The wait before the next attempt is over."""
        task = self.task(name)
        return self.handle(RetryDue(task_id=task.id, job_id=task.job_id, root_id=task.root_id))

    def cancel(self, job: JobRow | None = None) -> Outcome:
        """Somebody cancels the job, or another."""
        job = job or self.job
        return self.handle(CancelRequested(job_id=job.id, root_id=job.root_id))

    def restart(self, job: JobRow | None = None) -> Outcome:
        """Somebody restarts the job, or another."""
        job = job or self.job
        return self.handle(RestartRequested(job_id=job.id, root_id=job.root_id))

    def retry_failed(self, job: JobRow | None = None) -> Outcome:
        """Somebody wants what failed in the job, or another, to be run again."""
        job = job or self.job
        return self.handle(RetryRequested(job_id=job.id, root_id=job.root_id))

    def retry_task(self, task: TaskRow, job: JobRow | None = None) -> Outcome:
        """Somebody wants one task of the job, or another, to be run again."""
        job = job or self.job
        return self.handle(RetryRequested(job_id=job.id, root_id=job.root_id, task_id=task.id))

    def skip(self, task: TaskRow | str, reason: str = "not needed") -> Outcome:
        """Somebody lets the job go on without a task."""
        task = self.task(task) if isinstance(task, str) else task
        return self.handle(SkipRequested(task_id=task.id, job_id=task.job_id, root_id=task.root_id, reason=reason))

    def run_to_the_end(self, *failing: str) -> None:
        """Workers do all that is handed out, one after the other; these tasks fail."""
        while ready := [task for task in self.model.tasks.values() if task.state is TaskState.SCHEDULED]:
            task = ready[0]
            self.handle(failure_of(task) if task.name in failing else report_of(task, result=f"r{task.name}"))

    def run_all(self) -> None:
        """Workers do whatever is handed out, until the job ends."""
        while self.job.state.is_active:
            running = [task for task in self.model.tasks.values() if task.state is TaskState.SCHEDULED]
            assert running, f"nothing to do, but the job is {self.job.state}"
            for task in running:
                self.handle(report_of(task, result=task.name))
        assert self.job.state is not JobState.PENDING
