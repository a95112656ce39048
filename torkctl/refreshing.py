"""`--watch`: one question asked again and again. On a terminal its answer is redrawn in place, in a pipe the answers follow each other.

Invariant: a server that goes away ends nothing, and what is shown says of when it is. Only a first look that fails is an error.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from torkctl import diagnostics
from torkctl.arguments import seconds_of
from torkctl.errors import NoAnswer, UsageProblem
from torkctl.output import screen, stdout
from torkctl.output.listing import snapshot_lines, write_listing
from torkctl.settings import OutputFormat

if TYPE_CHECKING:
    from torkctl.client import Api
    from torkctl.output.listing import Listing, Picture
    from torkctl.session import Session

_INTERVAL_SECONDS = 2.0
_SHORTEST_SECONDS = 0.1
_ANSWER_SECONDS = 10.0
"""Who looks on wants to know soon that the server says nothing."""

Look = Callable[["Api"], "Listing | Picture"]


def show(session: Session, look: Look, *, watch: bool = False, interval: str | None = None) -> int:
    """Write what a look at the server finds, once, or until it can't change any more or somebody interrupts it."""
    seconds = seconds_of("--interval", interval)
    output = session.settings.output
    if not watch and interval is None:
        with session.api() as api:
            write_listing(look(api), output)
        return 0
    if output in {OutputFormat.JSON, OutputFormat.YAML}:
        raise UsageProblem(f"-o {output.value}: a watch goes on and is no one document (right would be -o jsonl)")
    _watch(session, look, _INTERVAL_SECONDS if seconds is None else max(seconds, _SHORTEST_SECONDS))
    return 0


def _watch(session: Session, look: Look, interval_seconds: float) -> None:
    from torkctl.client import Api, Patience, Transport

    with session.api() as api:
        seen, seen_at = look(api), datetime.now(UTC)
        hasty = Transport(session.settings.endpoint, session.settings.credentials, answer_seconds=_ANSWER_SECONDS)
        brief = Api(hasty, lambda: Patience(window_seconds=0, stop=session.stop))
        painter = screen.Painter()
        is_away, is_new = False, True
        try:
            while True:
                if stdout.is_terminal():
                    painter.draw(
                        _screen_lines(seen, seen_at, session.settings.output, interval_seconds, is_away=is_away)
                    )
                elif is_new:
                    _append(seen, seen_at, session.settings.output)
                if seen.is_final and not is_away:
                    return
                session.stop.wait(interval_seconds)
                was_away, is_away, is_new = is_away, False, True
                try:
                    seen, seen_at = look(brief), datetime.now(UTC)
                except NoAnswer as error:
                    is_away, is_new = True, False
                    if not was_away and not stdout.is_terminal():
                        diagnostics.warning(f"{error}; reconnecting, data as of {_clock(seen_at)}")
                else:
                    if was_away and not stdout.is_terminal():
                        diagnostics.notice("the server answers again")
        finally:
            hasty.close()


def _screen_lines(
    seen: Listing | Picture, seen_at: datetime, output: OutputFormat, interval_seconds: float, *, is_away: bool
) -> list[str]:
    told = f"reconnecting, data as of {_clock(seen_at)}" if is_away else f"as of {_clock(seen_at)}"
    head = f"every {interval_seconds:g}s, {told} (Ctrl-C ends)"
    lines = snapshot_lines(seen, output, _moment(seen_at))
    room = max(1, shutil.get_terminal_size().lines - 2)
    if len(lines) > room:
        hidden = len(lines) - room + 1
        lines = [*lines[: room - 1], f"… and {hidden} more"]
    return [head, *lines]


def _append(seen: Listing | Picture, seen_at: datetime, output: OutputFormat) -> None:
    lines = snapshot_lines(seen, output, _moment(seen_at))
    is_for_people = output in {OutputFormat.TABLE, OutputFormat.WIDE}
    stdout.write_lines([f"as of {_clock(seen_at)}", *lines, ""] if is_for_people else lines)


def _clock(at: datetime) -> str:
    return at.astimezone().strftime("%H:%M:%S")


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
