"""`torkctl queues`: what waits at the broker, and emptying a queue of tasks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from torkctl import completing, diagnostics
from torkctl.arguments import Interval, Watch, Yes
from torkctl.nouns import noun
from torkctl.session import Session
from torkctl.settings import OutputFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tork.node import Queue
    from torkctl.client import Api
    from torkctl.output.listing import Listing
    from torkctl.output.tables import Table

_DEAD = "dead"


def app() -> typer.Typer:
    """The verbs of queues."""
    from torkctl.commands.dead_letters import app as dead_letters

    made = noun("queues", "Show what waits at the broker.", {"list": list_queues, "delete": delete}, takes_name=True)
    made.add_typer(dead_letters())
    return made


def list_queues(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", autocompletion=completing.queues, help="Only this queue.")
    ] = None,
    watch: Watch = False,
    interval: Interval = None,
) -> int:
    """Show the sizes of queues, and their consumers.

    Also messages that were taken and are not acknowledged. With --watch also how fast the size changes.

    Example: torkctl queues list default --watch
    """
    from torkctl.refreshing import show

    return show(Session.of(ctx), _Look(name, with_rate=watch or interval is not None), watch=watch, interval=interval)


def delete(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=completing.queues, help="A queue of tasks.")],
    yes: Yes = False,
) -> int:
    """Drop what waits in a queue of tasks.

    Its consumers stay, and tasks of jobs that go on are handed out again.

    Example: torkctl queues delete gpu --yes
    """
    from tork.node import Queue
    from tork.task import is_task_queue
    from torkctl.client.api import read
    from torkctl.confirming import confirm
    from torkctl.errors import UsageProblem
    from torkctl.output import stdout

    if not is_task_queue(name):
        right = "torkctl queues dead purge" if name == _DEAD else "one that torkctl queues -o wide calls one of tasks"
        raise UsageProblem(f"'{name}' is not a task queue (right would be {right})")
    session = Session.of(ctx)
    with session.api() as api:
        queue = read(api.call("GET", "queues", name), Queue)
        waiting = "the message that waits" if queue.size == 1 else f"the {queue.size} messages that wait"
        confirm(f"drop {waiting} in queue '{name}'", yes=yes)
        api.call("DELETE", "queues", name)
    diagnostics.notice(f"queue {name} was emptied")
    stdout.write_done([name], session.settings.output, field="name")
    return 0


class _Look:
    """Looks at the queues. What changed since the look before tells the rate."""

    def __init__(self, name: str | None, *, with_rate: bool) -> None:
        self._name = name
        self._with_rate = with_rate
        self._before: tuple[float, dict[str, int]] | None = None

    def __call__(self, api: Api) -> Listing:
        from tork.errors import NotFound
        from tork.node import Queue
        from torkctl.client.api import read
        from torkctl.client.resources import array
        from torkctl.output.listing import Listing

        raw = array(api, "queues")
        if self._name is not None:
            # alone, the one that is called `dead` has another path
            raw = [item for item in raw if read(item, Queue).name == self._name]
            if not raw:
                raise NotFound(f"there is no queue {self._name}")
        queues = sorted((read(item, Queue) for item in raw), key=lambda queue: queue.name)
        rates = self._rates(queues)
        return Listing(
            document=raw if self._name is None else raw[0],
            items=raw,
            names=[queue.name for queue in queues],
            table=lambda output: queues_table(queues, rates if self._with_rate else None, output),
            kind="queues",
        )

    def _rates(self, queues: Sequence[Queue]) -> dict[str, str]:
        now = time.monotonic()
        before, self._before = self._before, (now, {queue.name: queue.size for queue in queues})
        if before is None:
            return {}
        seconds, sizes = max(now - before[0], 0.001), before[1]
        known = [queue for queue in queues if queue.name in sizes]
        return {queue.name: f"{(queue.size - sizes[queue.name]) / seconds:+.1f}/s" for queue in known}


def queues_table(queues: Sequence[Queue], rates: dict[str, str] | None, output: OutputFormat) -> Table:
    """A row a queue, with the rates if they are known."""
    from tork.task import is_task_queue
    from torkctl.output.tables import Table

    columns = ["name", "size", "consumers", "unacked"]
    rows = [[queue.name, str(queue.size), str(queue.subscribers), str(queue.unacked)] for queue in queues]
    if rates is not None:
        columns.append("rate")
        rows = [[*row, rates.get(row[0], "")] for row in rows]
    if output is OutputFormat.WIDE:
        columns.append("of")
        rows = [[*row, "tasks" if is_task_queue(row[0]) else "torkd"] for row in rows]
    return Table(columns=columns, rows=rows, shortened="name")
