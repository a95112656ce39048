"""`/queues`: what waits at the broker, and emptying a task queue."""

from __future__ import annotations

import falcon

from tork.errors import NotFound
from tork.node import Queue
from tork.task import is_task_queue
from torkd.api.errors import refusal
from torkd.api.media import answer, plain
from torkd.api.operations import operation
from torkd.broker.protocol import Broker


class QueuesResource:
    """All queues: those of tasks, of the coordinators, and the private ones of nodes."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    @operation("All queues", answer=list[Queue])
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        answer(req, resp, plain(self._broker.queues()))

    @operation("A queue", answer=Queue)
    def on_get_one(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        for queue in self._broker.queues():
            if queue.name == name:
                answer(req, resp, plain(queue))
                return
        raise _not_found(name)

    @operation("Empty a task queue")
    def on_delete_one(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Drops what waits; consumers stay. The answer has no body."""
        if not is_task_queue(name):
            raise refusal(400, f"queue {name} is not a task queue")
        try:
            self._broker.purge(name)
        except NotFound as error:
            raise _not_found(name) from error


def _not_found(name: str) -> falcon.HTTPError:
    return refusal(404, f"queue {name} not found")
