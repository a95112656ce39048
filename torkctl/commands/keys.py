"""`torkctl keys`: named keys for programs. A key is shown once, when it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from torkctl import completing, diagnostics
from torkctl.arguments import Yes
from torkctl.nouns import noun
from torkctl.session import Session

if TYPE_CHECKING:
    from torkctl.client import Api
    from torkctl.output.listing import Listing


def app() -> typer.Typer:
    """The verbs of keys."""
    verbs: dict[str, Callable[..., int]] = {"list": list_keys, "create": create, "revoke": revoke}
    return noun("keys", "Show, make and revoke keys for programs.", verbs)


def list_keys(ctx: typer.Context) -> int:
    """List the keys, without what they are.

    Example: torkctl keys list
    """
    from torkctl.refreshing import show

    return show(Session.of(ctx), _look)


def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is called.")],
    roles: Annotated[
        list[str] | None,
        typer.Option("--role", metavar="ROLE", autocompletion=completing.roles, help="Give a role. Repeatable."),
    ] = None,
) -> int:
    """Make a key, and show it this one time.

    Example: torkctl keys create ci --role crew
    """
    from tork.account import ApiKey
    from torkctl.client.api import read
    from torkctl.output import stdout
    from torkctl.output.jobs import field_lines

    session = Session.of(ctx)
    with session.api() as api:
        document = api.call("POST", "keys", document={"name": name, "roles": roles or []}, once=True)
    key = read(document, ApiKey)
    fields = [("name", key.name), ("roles", ", ".join(key.roles)), ("id", key.id), ("key", key.key)]
    stdout.write_one(document, key.name, lambda: field_lines(fields), session.settings.output)
    diagnostics.notice("the key is shown this one time: it can't be had again")
    return 0


def revoke(
    ctx: typer.Context,
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", autocompletion=completing.keys, help="Names of keys.")
    ],
    yes: Yes = False,
) -> int:
    """Delete keys: they are useless from then on.

    Example: torkctl keys revoke ci --yes
    """
    from torkctl.confirming import confirm
    from torkctl.one_by_one import do_each

    session = Session.of(ctx)
    with session.api() as api:
        for name in names:
            api.call("GET", "keys", name)
        confirm(f"revoke the key {', '.join(names)}", yes=yes)
        return do_each(
            names, lambda name: api.call("DELETE", "keys", name), "key {} was revoked", session.settings.output
        )


def _look(api: Api) -> Listing:
    from tork.account import ApiKey
    from torkctl.client.api import read
    from torkctl.client.resources import pages
    from torkctl.output.accounts import keys_table
    from torkctl.output.listing import Listing

    page = pages(api, "keys")
    keys = [read(item, ApiKey) for item in page.items]
    return Listing(
        document=page,
        items=page.items,
        names=[key.name for key in keys],
        table=lambda output: keys_table(keys, output),
        kind="keys",
    )
