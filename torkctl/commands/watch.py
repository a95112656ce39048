"""`torkctl watch`: every job file that appears in a folder is submitted, once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from torkctl.arguments import seconds_of
from torkctl.diagnostics import ExitCode
from torkctl.errors import UsageProblem
from torkctl.inbox.after import After
from torkctl.session import Session
from torkctl.settings import OutputFormat

if TYPE_CHECKING:
    from torkctl.inbox.watcher import Inbox, Order

_BRIEF_SECONDS = 1.0
"""A connection that a server closed meanwhile is worth a second try, but no longer wait: that is the watcher's to tell."""


def watch(
    ctx: typer.Context,
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The folder that job files appear in.")],
    once: Annotated[
        bool, typer.Option("--once", help="Submit what is there, wait for nothing more, and exit.")
    ] = False,
    existing: Annotated[
        bool, typer.Option("--existing/--no-existing", help="Whether files that are there at the start count.")
    ] = True,
    recursive: Annotated[bool, typer.Option("--recursive", help="Look into folders in it, too.")] = False,
    patterns: Annotated[
        list[str] | None,
        typer.Option(
            "--pattern", metavar="GLOB", help="Which names count, instead of *.yaml, *.yml, *.json. Repeatable."
        ),
    ] = None,
    after: Annotated[
        After, typer.Option("--after", help="What becomes of a file that was submitted; move: to DIR/submitted/.")
    ] = After.KEEP,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Also write NAME.result.json when the job ends.")] = False,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="The same content counts again when its file is written again.")
    ] = False,
    settle: Annotated[
        str | None,
        typer.Option("--settle", metavar="DURATION", help="How long a file must be unchanged, such as 10s."),
    ] = None,
) -> int:
    """Submit every job file that appears in a folder.

    Each content is submitted once, whatever its name, and whatever is killed or away meanwhile.

    Example: torkctl watch --after move /srv/inbox
    """
    from torkctl.inbox.names import Selection
    from torkctl.inbox.watcher import Order

    session = Session.of(ctx)
    settings = session.settings
    order = Order(
        folder=os.fspath(Path(folder).absolute()),
        selection=Selection(patterns=tuple(patterns or ()), recursive=recursive),
        after=after,
        waits=wait,
        once=once,
        existing=existing,
        reruns=rerun,
        settle_seconds=seconds_of("--settle", settle),
        give_up_seconds=settings.wait_retry_seconds if once or session.flags.retry_for is not None else None,
    )
    _check(order, settings.output)
    return _watch(session, order)


def _check(order: Order, output: OutputFormat) -> None:
    if not Path(order.folder).is_dir():
        raise UsageProblem(f"{order.folder} is not a folder")
    if order.after is not After.KEEP and not os.access(order.folder, os.W_OK | os.X_OK):
        raise UsageProblem(
            f"--after {order.after.value}: {order.folder} can't be written to (right would be --after keep, or the"
            " permission to write there)"
        )
    if order.once and not order.existing:
        raise UsageProblem("--once --no-existing would submit nothing (right would be one of them)")
    if output in {OutputFormat.JSON, OutputFormat.YAML}:
        raise UsageProblem(f"-o {output.value}: a watch goes on and is no one document (right would be -o jsonl)")


def _watch(session: Session, order: Order) -> int:
    from torkctl.client import Api, Patience
    from torkctl.inbox.watcher import Watcher, new_inbox
    from torkctl.output.inbox import write_happening

    output = session.settings.output
    inbox = new_inbox()
    with session.api() as api, _signals(inbox, once=order.once):
        brief = Api(api.transport, lambda: Patience(window_seconds=_BRIEF_SECONDS, stop=session.stop))
        watcher = Watcher(order, brief, lambda happening: write_happening(happening, output), inbox)
        return watcher.run()


@contextmanager
def _signals(inbox: Inbox, *, once: bool) -> Iterator[None]:
    """The first signal ends the watch between two files, the second one at once."""
    from torkctl.inbox.watcher import Stop

    seen: list[int] = []

    def end(number: int, _frame: object) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)
        is_done = number == signal.SIGTERM and not once
        inbox.put(Stop(ExitCode.DONE if is_done else ExitCode.INTERRUPTED))

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
