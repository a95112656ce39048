"""`torkctl audit`: who did what, the latest first."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from torkctl.arguments import Limit
from torkctl.nouns import noun
from torkctl.session import Session

if TYPE_CHECKING:
    from torkctl.client import Api
    from torkctl.output.listing import Listing


def app() -> typer.Typer:
    """The verb of the log of who did what."""
    return noun("audit", "", {"list": audit})


def audit(
    ctx: typer.Context,
    user: Annotated[str, typer.Option("--user", metavar="NAME", help="Of this user only.")] = "",
    action: Annotated[
        str, typer.Option("--action", metavar="ACTION", help="This action only, such as job.cancel.")
    ] = "",
    target: Annotated[
        str, typer.Option("--target", metavar="ID", help="Done to this only, such as the id of a job.")
    ] = "",
    limit: Limit = 100,
) -> int:
    """Show who did what, the latest first.

    Example: torkctl audit --user ada --action job.cancel --limit 20
    """
    from torkctl.refreshing import show

    wanted = {"user": user, "action": action, "target": target}
    look = partial(_look, query={name: text for name, text in wanted.items() if text}, limit=limit)
    return show(Session.of(ctx), look)


def _look(api: Api, *, query: dict[str, str], limit: int) -> Listing:
    from tork.account import AuditEntry
    from torkctl.client.api import read
    from torkctl.client.resources import pages
    from torkctl.output.accounts import audit_table
    from torkctl.output.listing import Listing

    page = pages(api, "audit", query=query, limit=limit)
    entries = [read(item, AuditEntry) for item in page.items]
    return Listing(
        document=page,
        items=page.items,
        names=[str(entry.id) for entry in entries],
        table=lambda output: audit_table(entries, output),
        kind="entries",
    )
