"""`torkctl queues dead`: messages that could not be handled, to be looked at, replayed or removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from torkctl import completing, diagnostics
from torkctl.arguments import Limit, Yes
from torkctl.ids import some_of
from torkctl.nouns import noun
from torkctl.session import Session
from torkctl.settings import OutputFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tork.dead_letter import DeadLetter
    from torkctl.client import Api
    from torkctl.output.listing import Listing
    from torkctl.output.tables import Table

Letters = Annotated[
    list[str],
    typer.Argument(
        metavar="ID...", autocompletion=completing.dead_letters, help="Dead letters, as the list shows them."
    ),
]


def app() -> typer.Typer:
    """The verbs of dead letters."""
    verbs: dict[str, Callable[..., int]] = {"list": list_dead_letters, "show": show, "replay": replay, "purge": purge}
    return noun("dead", "Show messages that could not be handled.", verbs, within="queues ")


def list_dead_letters(ctx: typer.Context, limit: Limit = 100) -> int:
    """List dead letters, the oldest first.

    Example: torkctl queues dead list --limit 20
    """
    from torkctl.refreshing import show as show_listing

    return show_listing(Session.of(ctx), lambda api: _look(api, limit))


def show(
    ctx: typer.Context,
    letter: Annotated[
        str,
        typer.Argument(
            metavar="ID", autocompletion=completing.dead_letters, help="A dead letter, as the list shows it."
        ),
    ],
) -> int:
    """Show why one could not be handled, and the message.

    Example: torkctl queues dead show 5d1c0b9e -o yaml
    """
    from tork.dead_letter import DeadLetter
    from torkctl.client.api import read
    from torkctl.output import stdout
    from torkctl.output.jobs import field_lines
    from torkctl.output.times import moment

    session = Session.of(ctx)
    with session.api() as api:
        document = api.call("GET", "queues", "dead", _resolve(api, [letter])[0])
    found = read(document, DeadLetter)
    fields = [
        ("id", found.id),
        ("queue", found.queue),
        ("kind", found.kind),
        ("buried", moment(found.buried_at)),
        ("reason", found.reason),
        ("message", found.body),
    ]
    stdout.write_one(document, found.id, lambda: field_lines(fields), session.settings.output)
    return 0


def replay(
    ctx: typer.Context,
    letters: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID]...", autocompletion=completing.dead_letters, help="Dead letters, as the list shows them."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are there now.")] = False,
) -> int:
    """Have dead letters handled again.

    One that fails again is back under another id.

    Example: torkctl queues dead replay --all
    """
    from torkctl.one_by_one import do_each

    session = Session.of(ctx)
    with session.api() as api:
        return do_each(
            _chosen(api, letters or [], every=every),
            lambda letter_id: api.call("POST", "queues", "dead", letter_id, "replay", once=True),
            "dead letter {} is handled again",
            session.settings.output,
        )


def purge(
    ctx: typer.Context,
    letters: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", autocompletion=completing.dead_letters, help="Only these; else all."),
    ] = None,
    yes: Yes = False,
) -> int:
    """Remove dead letters: those that are named, or all.

    Example: torkctl queues dead purge --yes
    """
    from torkctl.confirming import confirm
    from torkctl.one_by_one import do_each

    session = Session.of(ctx)
    with session.api() as api:
        ids = _chosen(api, letters or [], every=not letters)
        if ids:
            letters_text = "1 dead letter" if len(ids) == 1 else f"{len(ids)} dead letters"
            confirm(f"remove {letters_text} ({some_of(ids)})", yes=yes)
        return do_each(
            ids,
            lambda letter_id: api.call("DELETE", "queues", "dead", letter_id),
            "dead letter {} was removed",
            session.settings.output,
        )


def _look(api: Api, limit: int | None) -> Listing:
    from tork.dead_letter import DeadLetter
    from torkctl.client.api import read
    from torkctl.client.resources import pages
    from torkctl.output.listing import Listing

    page = pages(api, "queues", "dead", limit=limit)
    letters = [read(item, DeadLetter) for item in page.items]
    return Listing(
        document=page,
        items=page.items,
        names=[letter.id for letter in letters],
        table=lambda output: _table(letters, output),
        kind="dead letters",
    )


def _table(letters: Sequence[DeadLetter], output: OutputFormat) -> Table:
    from torkctl.output.tables import Table
    from torkctl.output.times import moment

    columns = ["id", "queue", "kind", "buried", "reason"]
    rows = [[letter.id, letter.queue, letter.kind, moment(letter.buried_at), letter.reason] for letter in letters]
    if output is OutputFormat.WIDE:
        columns.append("message")
        rows = [[*row, letter.body] for row, letter in zip(rows, letters, strict=True)]
    return Table(columns=columns, rows=rows, shortened="reason", dropped=("kind", "buried"))


def _chosen(api: Api, letters: Sequence[str], *, every: bool) -> list[str]:
    from torkctl.errors import UsageProblem

    if every and letters:
        raise UsageProblem("--all and IDs are two different wishes (right would be one of them)")
    if not every:
        if not letters:
            raise UsageProblem("no dead letter is named (right would be its ID, or --all)")
        return _resolve(api, letters)
    ids = list(_look(api, None).names)
    if not ids:
        diagnostics.notice("no dead letters")
    return ids


def _resolve(api: Api, letters: Sequence[str]) -> list[str]:
    """Their whole ids, each once. All are known to be there before anything is done to one."""
    from tork.errors import NotFound
    from torkctl.errors import UsageProblem

    known = _look(api, None).names
    ids: list[str] = []
    for letter in letters:
        found = [one for one in known if letter and one.startswith(letter)]
        if not found:
            raise NotFound(f"there is no dead letter '{letter}'")
        if len(found) > 1 and letter not in found:
            raise UsageProblem(
                f"'{letter}' fits several dead letters: {some_of(found)} (right would be more of the id)"
            )
        ids.append(letter if letter in found else found[0])
    return list(dict.fromkeys(ids))
