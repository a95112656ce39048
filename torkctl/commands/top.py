"""`torkctl top`: the cluster on one screen."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from torkctl.arguments import Interval
from torkctl.session import Session
from torkctl.settings import OutputFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tork.job import JobSummary
    from tork.node import Node, Queue
    from torkctl.client import Api
    from torkctl.figures import Figures
    from torkctl.output.listing import Picture

_SAMPLE_SECONDS = 1.0
_MOST_JOBS = 5


def top(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Show it once, as where stdout is no terminal.")] = False,
    interval: Interval = None,
) -> int:
    """Show the cluster on one screen.

    Throughput, what runs and waits, the latest failures, queues and nodes.

    Example: torkctl top --once
    """
    from torkctl.output import stdout
    from torkctl.refreshing import show

    session = Session.of(ctx)
    is_document = session.settings.output in {OutputFormat.JSON, OutputFormat.JSONL, OutputFormat.YAML}
    watch = not once and (interval is not None or (stdout.is_terminal() and not is_document))
    look = _Look(lambda: session.stop.wait(_SAMPLE_SECONDS))
    return show(session, look, watch=watch, interval=interval if watch else None)


class _Look:
    """Looks at the cluster. What was counted since the look before tells the rates; the first one waits for a second."""

    def __init__(self, pause: Callable[[], object]) -> None:
        self._pause = pause
        self._before: tuple[float, Figures] | None = None

    def __call__(self, api: Api) -> Picture:
        from torkctl.client.api import JobQuery
        from torkctl.figures import read_figures
        from torkctl.output.listing import Picture
        from torkctl.output.top import overview

        if self._before is None:
            self._before = time.monotonic(), read_figures(api.figures())
            self._pause()
        now, figures = time.monotonic(), read_figures(api.figures())
        queues = sorted(api.queues(), key=lambda queue: queue.name)
        nodes = api.nodes()
        running = api.jobs(JobQuery(states=["RUNNING"]), size=_MOST_JOBS).items
        failed = api.jobs(JobQuery(states=["FAILED"]), size=_MOST_JOBS).items
        seen = overview(
            figures, self._before[1], now - self._before[0], queues=queues, nodes=nodes, running=running, failed=failed
        )
        self._before = now, figures
        return Picture(
            document=seen,
            names=[job.id for job in running],
            draw=lambda output: [*seen.lines(), *_tables(queues, nodes, running, failed, output)],
        )


def _tables(
    queues: Sequence[Queue],
    nodes: Sequence[Node],
    running: Sequence[JobSummary],
    failed: Sequence[JobSummary],
    output: OutputFormat,
) -> list[str]:
    from tork.task import is_task_queue
    from torkctl.commands.nodes import nodes_table
    from torkctl.commands.queues import queues_table
    from torkctl.output.jobs import jobs_table
    from torkctl.output.tables import table_lines

    shown = [queue for queue in queues if output is OutputFormat.WIDE or is_task_queue(queue.name)]
    tables = {
        "queues": queues_table(shown, None, output) if shown else None,
        "nodes": nodes_table(nodes, output) if nodes else None,
        "running jobs": jobs_table(running, output) if running else None,
        "failed jobs": jobs_table(failed, output) if failed else None,
    }
    lines: list[str] = []
    for title, table in tables.items():
        lines += ["", f"{title}:", *table_lines(table)] if table else ["", f"no {title}"]
    return lines
