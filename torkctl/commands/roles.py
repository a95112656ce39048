"""`torkctl roles`: what permissions of jobs can name besides users, and who has them."""

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

Role = Annotated[
    str, typer.Argument(metavar="ROLE", autocompletion=completing.roles, help="A role's slug, such as admin.")
]
User = Annotated[str, typer.Argument(metavar="USER", autocompletion=completing.users, help="A username.")]


def app() -> typer.Typer:
    """The verbs of roles."""
    verbs: dict[str, Callable[..., int]] = {
        "list": list_roles,
        "create": create,
        "give": give,
        "take": take,
        "delete": delete,
    }
    return noun("roles", "Show and change roles, and who has them.", verbs)


def list_roles(ctx: typer.Context) -> int:
    """List the roles.

    Example: torkctl roles list -o name
    """
    from torkctl.refreshing import show

    return show(Session.of(ctx), _look)


def create(
    ctx: typer.Context,
    role: Role,
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="What people call it.")] = "",
) -> int:
    """Create a role.

    Example: torkctl roles create crew --name "The crew"
    """
    from torkctl.output import stdout
    from torkctl.output.jobs import field_lines

    session = Session.of(ctx)
    with session.api() as api:
        document = api.call("POST", "roles", document={"slug": role, "name": name}, once=True)
    stdout.write_one(document, role, lambda: field_lines([("role", role), ("name", name)]), session.settings.output)
    return 0


def give(ctx: typer.Context, role: Role, user: User) -> int:
    """Give a role to a user.

    Example: torkctl roles give crew ada
    """
    return _change(ctx, "PUT", role, user, f"{user} has the role {role}")


def take(ctx: typer.Context, role: Role, user: User) -> int:
    """Take a role from a user.

    Example: torkctl roles take crew ada
    """
    return _change(ctx, "DELETE", role, user, f"{user} no longer has the role {role}")


def delete(
    ctx: typer.Context,
    roles: Annotated[
        list[str], typer.Argument(metavar="ROLE...", autocompletion=completing.roles, help="Slugs of roles.")
    ],
    yes: Yes = False,
) -> int:
    """Delete roles; nobody has them any more.

    Example: torkctl roles delete crew --yes
    """
    from torkctl.confirming import confirm
    from torkctl.one_by_one import do_each

    session = Session.of(ctx)
    with session.api() as api:
        for role in roles:
            api.call("GET", "roles", role)
        confirm(f"delete the role {', '.join(roles)}", yes=yes)
        return do_each(
            roles, lambda role: api.call("DELETE", "roles", role), "role {} was deleted", session.settings.output
        )


def _change(ctx: typer.Context, method: str, role: str, user: str, told: str) -> int:
    from torkctl.output import stdout

    session = Session.of(ctx)
    with session.api() as api:
        api.call(method, "users", user, "roles", role)
    diagnostics.notice(told)
    stdout.write_done([user], session.settings.output, field="username")
    return 0


def _look(api: Api) -> Listing:
    from tork.account import Role as Kind
    from torkctl.client.api import read
    from torkctl.client.resources import pages
    from torkctl.output.accounts import roles_table
    from torkctl.output.listing import Listing

    page = pages(api, "roles")
    roles = [read(item, Kind) for item in page.items]
    return Listing(
        document=page,
        items=page.items,
        names=[role.slug for role in roles],
        table=lambda output: roles_table(roles, output),
        kind="roles",
    )
