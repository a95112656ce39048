"""The daemon with three dead letters from its start on, which is hard to come by otherwise without a broker of its own.

Started as a program by tests: `python lettered_daemon.py run standalone`, with `broker.type = "lettered"`.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from torkd.__main__ import main
from torkd.broker.memory import MemoryBroker
from torkd.broker.messages import RunEnded, RunOutcome
from torkd.broker.queues import COMPLETED
from torkd.extensions import Extensions

REASON = "RunEnded could not be handled: the task has no such run"
LETTERS = 3


class LetteredBroker(MemoryBroker):
    """Somebody was here before, and could not handle what was there."""

    def open(self) -> None:
        """Make it usable, with the letters."""
        super().open()
        reader = self.consume_events([COMPLETED])
        self.publish_events([_ended(f"{number:032x}") for number in range(LETTERS)])
        for delivery in reader.receive(LETTERS, 5):
            reader.bury(delivery, REASON)
        reader.close()


def _ended(task_id: str) -> RunEnded:
    """A run of a task that there is not."""
    now = datetime.now(UTC)
    return RunEnded(
        task_id=task_id,
        job_id="f" * 32,
        root_id="f" * 32,
        dispatch=1,
        run_id="e" * 32,
        node_id="n",
        lease_id="l",
        started_at=now,
        ended_at=now,
        outcome=RunOutcome.COMPLETED,
    )


if __name__ == "__main__":
    extensions = Extensions()
    extensions.register_broker("lettered", lambda _section: LetteredBroker())
    sys.exit(main(extensions=extensions))
