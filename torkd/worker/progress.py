"""A run's progress on its way to the coordinators."""

from __future__ import annotations

import math
from collections.abc import Callable

from tork.errors import BrokerUnavailable
from torkd.broker.messages import RunProgressed, RunTask
from torkd.broker.protocol import Broker


class ProgressReport:
    """Called with 0 to 100 as often as one likes; only changes are sent. One that can't be sent now is sent with the next."""

    __slots__ = ("_broker", "_claim_first", "_message", "_run_id", "_sent")

    def __init__(self, broker: Broker, message: RunTask, run_id: str, claim_first: Callable[[], None]) -> None:
        """`claim_first` sees to it that the claim is sent: progress counts only for the run that owns the task."""
        self._broker, self._message, self._run_id = broker, message, run_id
        self._claim_first = claim_first
        self._sent = 0.0

    def __call__(self, progress: float) -> None:
        if math.isnan(progress):
            return
        progress = min(max(progress, 0.0), 100.0)
        if progress == self._sent:
            return
        self._claim_first()
        message = self._message
        try:
            self._broker.publish_events(
                [
                    RunProgressed(
                        task_id=message.task_id,
                        job_id=message.job_id,
                        root_id=message.root_id,
                        dispatch=message.dispatch,
                        run_id=self._run_id,
                        progress=progress,
                    )
                ]
            )
        except BrokerUnavailable:
            return
        self._sent = progress
