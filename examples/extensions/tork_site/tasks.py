"""Task middleware: what every task gets from this site, and how runs end."""

from __future__ import annotations

from msgspec.structs import replace

from tork.task import TaskDefinition, TaskSummary
from tork_site.tally import Tally
from torkd.middleware import EndedRun, StartedRun, TaskMiddleware


class SiteTasks(TaskMiddleware):
    """Sets `SITE` unless the task does."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def before_run(self, definition: TaskDefinition, run: StartedRun) -> TaskDefinition:
        return replace(definition, env={"SITE": "example", **definition.env})

    def after_run(self, run: StartedRun, outcome: EndedRun) -> None:
        self._tally.count(f"runs {outcome.ending.value}")

    def changed(self, task: TaskSummary) -> None:
        if task.state is not None:
            self._tally.count(f"tasks {task.state.value}")
