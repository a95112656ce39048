"""`torkctl users`: accounts of people. Passwords are typed, or come from a file, the environment or stdin."""

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
    from torkctl.settings import OutputFormat

_ME = "me"
_SOURCE = "@FILE, env:VARIABLE, or - for a line of stdin. Without it: typed."
Name = Annotated[
    str, typer.Argument(metavar="NAME", autocompletion=completing.users, help="A username, or me for one's own.")
]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", autocompletion=completing.users, help="Usernames.")]
Password = Annotated[str | None, typer.Option("--password", metavar="SOURCE", help=f"The new password: {_SOURCE}")]


def app() -> typer.Typer:
    """The verbs of users."""
    verbs: dict[str, Callable[..., int]] = {
        "list": list_users,
        "get": get,
        "create": create,
        "passwd": passwd,
        "enable": enable,
        "disable": disable,
        "delete": delete,
    }
    return noun("users", "Show and change accounts of people.", verbs)


def list_users(ctx: typer.Context) -> int:
    """List the users.

    Example: torkctl users list -o wide
    """
    from torkctl.refreshing import show

    return show(Session.of(ctx), _look)


def get(ctx: typer.Context, name: Name = _ME) -> int:
    """Show a user; oneself, if none is named.

    Example: torkctl users get ada
    """
    session = Session.of(ctx)
    with session.api() as api:
        _write(api.call("GET", "users", name), session.settings.output)
    return 0


def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The username.")],
    full_name: Annotated[str, typer.Option("--name", metavar="TEXT", help="The user's name.")] = "",
    roles: Annotated[
        list[str] | None,
        typer.Option("--role", metavar="ROLE", autocompletion=completing.roles, help="Give a role. Repeatable."),
    ] = None,
    password: Password = None,
) -> int:
    """Create a user.

    Example: torkctl users create ada --role admin --password env:ADA_PASSWORD
    """
    from torkctl.confirming import secret

    session = Session.of(ctx)
    document = {"username": name, "name": full_name, "roles": roles or []}
    document["password"] = secret("--password", password, f"password of {name}", twice=True)
    with session.api() as api:
        _write(api.call("POST", "users", document=document, once=True), session.settings.output)
    return 0


def passwd(
    ctx: typer.Context,
    name: Name = _ME,
    password: Password = None,
    current: Annotated[
        str | None, typer.Option("--current", metavar="SOURCE", help=f"One's own present password: {_SOURCE}")
    ] = None,
) -> int:
    """Change a password; one's own, if nobody is named.

    Whoever changes their own says the present one first.

    Example: torkctl users passwd ada --password @new-password.txt
    """
    from tork.errors import StateConflict
    from torkctl.confirming import secret
    from torkctl.errors import Refused
    from torkctl.output import stdout

    session = Session.of(ctx)
    document: dict[str, str] = {}
    if current is not None or name in {_ME, session.settings.credentials.username}:
        document["current"] = secret("--current", current, "present password", twice=False)
    document["password"] = secret("--password", password, f"new password of {name}", twice=True)
    with session.api() as api:
        try:
            # sent again after a lost answer it would sign in with what is not the password any more
            api.call("PUT", "users", name, "password", document=document, once="current" in document)
        except StateConflict as error:
            raise Refused(str(error)) from error
    diagnostics.notice("your password was changed" if name == _ME else f"the password of {name} was changed")
    stdout.write_done([name], session.settings.output, field="username")
    return 0


def enable(ctx: typer.Context, names: Names) -> int:
    """Let users sign in again.

    Example: torkctl users enable ada
    """
    return _set_disabled(ctx, names, disabled=False)


def disable(ctx: typer.Context, names: Names) -> int:
    """Let users sign in no more.

    Example: torkctl users disable ada
    """
    return _set_disabled(ctx, names, disabled=True)


def delete(ctx: typer.Context, names: Names, yes: Yes = False) -> int:
    """Delete users; their jobs stay.

    Example: torkctl users delete ada --yes
    """
    from torkctl.confirming import confirm
    from torkctl.one_by_one import do_each

    session = Session.of(ctx)
    with session.api() as api:
        for name in names:
            api.call("GET", "users", name)
        confirm(f"delete the user {', '.join(names)}", yes=yes)
        return do_each(
            names, lambda name: api.call("DELETE", "users", name), "user {} was deleted", session.settings.output
        )


def _set_disabled(ctx: typer.Context, names: list[str], *, disabled: bool) -> int:
    from torkctl.one_by_one import do_each

    session = Session.of(ctx)
    with session.api() as api:
        return do_each(
            names,
            lambda name: api.call("PUT", "users", name, document={"disabled": disabled}),
            f"user {{}} is {'disabled' if disabled else 'enabled'}",
            session.settings.output,
        )


def _look(api: Api) -> Listing:
    from tork.account import Account
    from torkctl.client.api import read
    from torkctl.client.resources import pages
    from torkctl.output.accounts import users_table
    from torkctl.output.listing import Listing

    page = pages(api, "users")
    users = [read(item, Account) for item in page.items]
    return Listing(
        document=page,
        items=page.items,
        names=[user.username for user in users],
        table=lambda output: users_table(users, output),
        kind="users",
    )


def _write(document: bytes, output: OutputFormat) -> None:
    from tork.account import Account
    from torkctl.client.api import read
    from torkctl.output import stdout
    from torkctl.output.accounts import account_fields
    from torkctl.output.jobs import field_lines

    user = read(document, Account)
    stdout.write_one(document, user.username, lambda: field_lines(account_fields(user)), output)
