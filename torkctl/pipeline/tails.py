"""The last lines of what tasks printed, for reports. Bounded: in size, and in how often the server is asked.

Invariant: nothing in a tail is obeyed by a terminal or breaks XML; the server has masked what is secret in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tork.errors import TorkError
from torkctl import diagnostics
from torkctl.client import Api
from torkctl.pipeline.cases import Case, Ending, JobCases
from torkctl.pipeline.plain_text import last_lines, plain

_OF_FAILURES = (100, 16_000)
_OF_OTHERS = (20, 4_000)
"""How many lines, and how many characters."""

_MOST_QUESTIONS = 100


@dataclass(kw_only=True)
class Tails:
    """The tails that were read, by the ids of tasks."""

    api: Api
    with_passed: bool
    """Whether those of tasks that did not fail are wanted too."""

    _read: dict[str, str] = field(default_factory=dict)

    def read(self, jobs: Sequence[JobCases]) -> None:
        """Ask for them, those of failures first."""
        cases = [case for job in jobs for case in job.cases if case.task]
        failed = [case for case in cases if case.ending is Ending.FAILED]
        others = [case for case in cases if case.ending is not Ending.FAILED and case.task and case.task.started_at]
        wanted = failed + (others if self.with_passed else [])
        for case in wanted[:_MOST_QUESTIONS]:
            try:
                self._ask(case)
            except TorkError as error:
                diagnostics.detail(f"the ends of logs can't be read: {error}")
                return

    def of(self, case: Case) -> str:
        """The last lines of the case's last run, or nothing."""
        return self._read.get(case.task.id, "") if case.task else ""

    def _ask(self, case: Case) -> None:
        assert case.task
        most_lines, most_characters = _OF_FAILURES if case.ending is Ending.FAILED else _OF_OTHERS
        page = self.api.log_page(f"/tasks/{case.task.id}", page=1)
        text = "".join(part.contents for part in reversed(page.items))
        self._read[case.task.id] = last_lines(plain(text), most_lines, most_characters, is_cut=page.total_pages > 1)
