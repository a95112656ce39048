"""`torkctl context`: named servers, and the one that counts where none is named."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated

import typer

from torkctl import completing, diagnostics
from torkctl.arguments import Yes
from torkctl.errors import UsageProblem
from torkctl.nouns import noun
from torkctl.session import Session
from torkctl.settings import ENDPOINT_VARIABLE, output_format

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the server is called.")]
Known = Annotated[
    str, typer.Argument(metavar="NAME", autocompletion=completing.contexts, help="A server that is named.")
]
_SOURCE = "@FILE, env:VARIABLE, or - for a line of stdin"


def app() -> typer.Typer:
    """The verbs of contexts."""
    verbs: dict[str, Callable[..., int]] = {"list": list_contexts, "use": use, "add": add, "remove": remove}
    return noun("context", "Show and change the named servers.", verbs)


def list_contexts(ctx: typer.Context) -> int:
    """List the named servers, without credentials.

    Example: torkctl context list
    """
    from torkctl.contexts import read_contexts
    from torkctl.output.listing import Listing, write_listing
    from torkctl.output.tables import Table

    known, current = read_contexts(os.environ)
    documents = [
        {
            "name": context.name,
            "endpoint": context.endpoint,
            "current": context.name == current,
            "username": context.username,
            "credentials": context.credentials,
        }
        for context in known
    ]
    rows = [
        (
            "*" if one["current"] else "",
            str(one["name"]),
            str(one["endpoint"]),
            str(one["username"]),
            str(one["credentials"]),
        )
        for one in documents
    ]
    listing = Listing(
        document=documents,
        items=documents,
        names=[context.name for context in known],
        table=lambda _output: Table(
            columns=("current", "name", "endpoint", "username", "credentials"), rows=rows, shortened="endpoint"
        ),
        kind="contexts",
    )
    write_listing(listing, output_format(Session.of(ctx).flags.output))
    return 0


def use(ctx: typer.Context, name: Known) -> int:
    """Let a named server be the one that counts.

    Example: torkctl context use prod
    """
    from torkctl.context_file import ContextFile
    from torkctl.output import stdout

    output = output_format(Session.of(ctx).flags.output)
    file = ContextFile.read(os.environ)
    file.use(name)
    file.write()
    diagnostics.notice(f"{name} is the current context")
    if os.environ.get(ENDPOINT_VARIABLE):
        diagnostics.warning(f"{ENDPOINT_VARIABLE} is set, and counts before any context")
    stdout.write_done([name], output, field="name")
    return 0


def add(
    ctx: typer.Context,
    name: Name,
    username: Annotated[str, typer.Option("--username", metavar="NAME", help="Who signs in there.")] = "",
    password: Annotated[
        str | None,
        typer.Option("--password", metavar="SOURCE", help=f"The user's password: {_SOURCE}. Without it: typed."),
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="SOURCE", help=f"A key instead of a user: {_SOURCE}.")
    ] = None,
    current: Annotated[bool, typer.Option("--use", help="Let it be the current one.")] = False,
) -> int:
    """Add a named server; its address is what --endpoint says.

    The first one is the current one.

    Example: torkctl context add prod -e https://tork.example.org --key env:KEY
    """
    from torkctl.confirming import secret
    from torkctl.context_file import ContextFile
    from torkctl.output import stdout
    from torkctl.settings import checked_endpoint

    flags = Session.of(ctx).flags
    output = output_format(flags.output)
    if not flags.endpoint:
        raise UsageProblem("a context needs an address (right would be e.g. --endpoint https://tork.example.org)")
    if key is not None and (username or password is not None):
        raise UsageProblem("--key stands for a user and a password (right would be one or the other)")
    if password is not None and not username:
        raise UsageProblem("--password is somebody's (right would be --username NAME beside it)")
    values = {"endpoint": checked_endpoint(flags.endpoint)}
    file = ContextFile.read(os.environ)
    file.refuse_known(name)
    if username:
        values |= {
            "username": username,
            "password": secret("--password", password, f"password of {username}", twice=False),
        }
    if key is not None:
        values["key"] = secret("--key", key, "key", twice=False)
    file.add(name, values)
    if current or not file.current:
        file.use(name)
    file.write()
    diagnostics.notice(f"{name} was added" + (", and is the current context" if file.current == name else ""))
    stdout.write_done([name], output, field="name")
    return 0


def remove(ctx: typer.Context, name: Known, yes: Yes = False) -> int:
    """Forget a named server and its credentials.

    Example: torkctl context remove prod --yes
    """
    from torkctl.confirming import confirm
    from torkctl.context_file import ContextFile
    from torkctl.output import stdout

    output = output_format(Session.of(ctx).flags.output)
    file = ContextFile.read(os.environ)
    file.remove(name)
    confirm(f"forget the context '{name}' and its credentials", yes=yes)
    file.write()
    diagnostics.notice(f"{name} was removed" + ("" if file.current else "; no context is the current one now"))
    stdout.write_done([name], output, field="name")
    return 0
