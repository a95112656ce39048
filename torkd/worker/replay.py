"""The log of a run that is taken up: what its predecessor kept is published again, and what comes now goes on behind it.

Nobody knows which parts were stored before the predecessor died. All have their old numbers, and those that are stored already
are ignored.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from tork.errors import BrokerUnavailable, TorkError
from torkd.broker.messages import LogPrinted
from torkd.broker.protocol import Broker
from torkd.broker.queues import LOGS
from torkd.runtime.stopping import StopSignal
from torkd.worker.kept import KeptRun
from torkd.worker.logs import RunLog
from torkd.worker.spool import recover, spooled_parts

_CHUNK_LENGTH = 512 * 1024
"""So many characters are published together."""
_MAX_BACKLOG = 50
"""While more messages wait to be stored, no chunk is added: a broker may hold all of them in memory."""
_PATIENCE_SECONDS = 5.0
"""So long it waits for that in all: the run itself waits meanwhile."""
_LOOK_SECONDS = 0.02
_RETRY_SECONDS = 0.5

_LOG = logging.getLogger(__name__)


def replay_log(log: RunLog, kept: KeptRun, broker: Broker, stop: StopSignal) -> None:
    """Publish it, and make the log go on behind it. Gives up what can't be published when the run is stopped."""
    try:
        number, mark = recover(kept.log_path)
        log.resume(number, mark)
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        for chunk in _chunks(kept):
            _publish(broker, chunk, stop)
            while _backlog(broker) > _MAX_BACKLOG and time.monotonic() < give_up_at and not stop.wait(_LOOK_SECONDS):
                pass
        if kept.outcome is None:
            log.keep(kept.open_log(), kept.give_up)
    except OSError as error:
        _LOG.warning("the log of a run of before can't be read: %s", error, extra={"run_id": kept.record.run_id})
        if kept.outcome is None:
            kept.give_up()  # once is bad enough


def _chunks(kept: KeptRun) -> Iterator[list[LogPrinted]]:
    message = kept.record.message
    chunk: list[LogPrinted] = []
    length = 0
    for part in spooled_parts(kept.log_path):
        if not part.contents:
            continue  # it only says how far the log had come
        chunk.append(
            LogPrinted(
                task_id=message.task_id,
                job_id=message.job_id,
                run_id=kept.record.run_id,
                dispatch=message.dispatch,
                number=part.number,
                contents=part.contents,
                printed_at=part.printed_at,
            )
        )
        length += len(part.contents)
        if length >= _CHUNK_LENGTH:
            yield chunk
            chunk, length = [], 0
    if chunk:
        yield chunk


def _publish(broker: Broker, chunk: list[LogPrinted], stop: StopSignal) -> None:
    while True:
        try:
            broker.publish_events(chunk)
        except BrokerUnavailable as error:
            _LOG.warning("the log of a run of before waits for the broker: %s", error)
            if stop.wait(_RETRY_SECONDS):
                return
        else:
            return


def _backlog(broker: Broker) -> int:
    try:
        return next((queue.size for queue in broker.queues() if queue.name == LOGS), 0)
    except TorkError:
        return 0
