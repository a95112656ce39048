"""Arguments and options that several commands share, and the global ones that all have, before or after the verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from tork.durations import parse_seconds
from tork.errors import DurationError
from torkctl import completing, diagnostics
from torkctl.errors import UsageProblem
from torkctl.output import stdout
from torkctl.session import Session

if TYPE_CHECKING:
    from torkctl.settings import Flags

Jobs = Annotated[
    list[str],
    typer.Argument(
        metavar="JOB...",
        autocompletion=completing.jobs,
        help="Ids, unique prefixes of at least 6 characters, or @last.",
    ),
]
Job = Annotated[
    str,
    typer.Argument(
        metavar="JOB",
        autocompletion=completing.jobs,
        help="An id, a unique prefix of at least 6 characters, or @last.",
    ),
]
Timeout = Annotated[
    str | None,
    typer.Option("--timeout", metavar="DURATION", help="Stop waiting after this long, such as 10m (exit 124)."),
]
Inputs = Annotated[
    list[str] | None, typer.Option("--input", metavar="KEY=VALUE", help="Set an input of the job. Repeatable.")
]
Secrets = Annotated[
    list[str] | None,
    typer.Option(
        "--secret", metavar="KEY=VALUE", help="Set a secret: KEY=VALUE, KEY=@FILE or KEY=env:VARIABLE. Repeatable."
    ),
]
Name = Annotated[str, typer.Option("--name", metavar="TEXT", help="Set the name of the job.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="Add a tag to the job. Repeatable.")]
CancelOnInterrupt = Annotated[
    bool, typer.Option("--cancel-on-interrupt", help="Cancel the job when interrupted, instead of letting it go on.")
]
JUnit = Annotated[
    str | None,
    typer.Option("--junit", metavar="FILE", help="Write a JUnit file, a test case a task, however the wait ends."),
]
Ci = Annotated[
    str,
    typer.Option(
        "--ci",
        metavar="SERVER",
        help="Whose pipeline this is: github, gitlab, none, or auto for what the environment says.",
    ),
]

Watch = Annotated[bool, typer.Option("--watch", help="Go on: redraw on a terminal, append in a pipe.")]
Interval = Annotated[
    str | None, typer.Option("--interval", metavar="DURATION", help="Watch, and look this often (2s if not said).")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before something is removed.")]


def count_of(option: str) -> Callable[[object], int]:
    """Reads the value of an option that counts from 1."""

    def read(given: object) -> int:
        text = str(given)
        if not (text.isascii() and text.isdigit()) or int(text) < 1:
            raise UsageProblem(f"{option}: '{text}' is not a number from 1 on (right would be e.g. 20)")
        return int(text)

    return read


Limit = Annotated[int, typer.Option("--limit", parser=count_of("--limit"), metavar="N", help="How many at most.")]


def timeout_seconds(text: str | None) -> float | None:
    """The value of --timeout in seconds. Raises `UsageProblem`."""
    return seconds_of("--timeout", text)


def seconds_of(option: str, text: str | None) -> float | None:
    """The value of an option that takes a duration, in seconds. Raises `UsageProblem`."""
    if text is None:
        return None
    try:
        seconds = parse_seconds(text)
    except DurationError as error:
        raise UsageProblem(f"{option}: {error}") from error
    if seconds < 0:
        raise UsageProblem(f"{option}: '{text}' is negative (right would be e.g. '10m')")
    return seconds


def global_options() -> list[TyperOption]:
    """The options that every command takes. The last one given wins."""
    return [
        _value("endpoint", "--endpoint", "-e", metavar="URL", help="The server, such as http://localhost:8000."),
        _value(
            "context",
            "--context",
            metavar="NAME",
            offers=completing.contexts,
            help="A server named in ~/.config/torkctl/config.toml.",
        ),
        _value(
            "output",
            "--output",
            "-o",
            metavar="FORMAT",
            offers=completing.formats,
            help="table, wide, name, json, jsonl or yaml.",
        ),
        _value("retry_for", "--retry-for", metavar="DURATION", help="How long to retry while the server is away."),
        _switch("no_color", "--no-color", help="No colour (also NO_COLOR)."),
        _switch("quiet", "--quiet", "-q", help="No notices on stderr, only warnings and errors."),
        _switch("verbose", "--verbose", "-v", help="Also tell what helps to find a cause."),
    ]


class Command(TyperCommand):
    """A verb, with the global options beside its own."""

    def __init__(self, *args: Any, params: list[Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, params=[*(params or []), *global_options()], **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Apply what the global options say of stdout and stderr, then run the verb."""
        flags = Session.of(ctx).flags
        diagnostics.configure(quiet=flags.quiet, verbose=flags.verbose, no_color=flags.no_color)
        stdout.configure(no_color=flags.no_color)
        return super().invoke(ctx)


def _value(
    field: str,
    *names: str,
    metavar: str,
    help: str,  # noqa: A002 - typer's own word
    offers: Callable[[str], Any] | None = None,
) -> TyperOption:
    return TyperOption(
        param_decls=list(names),
        type=str,
        metavar=metavar,
        help=help,
        expose_value=False,
        callback=_keep(field),
        autocompletion=None if offers is None else (lambda _ctx, _args, incomplete: offers(incomplete)),
    )


def _switch(field: str, *names: str, help: str) -> TyperOption:  # noqa: A002 - typer's own word
    return TyperOption(
        param_decls=list(names), is_flag=True, default=False, help=help, expose_value=False, callback=_keep(field)
    )


def _keep(field: str) -> Callable[[Any, Any, Any], Any]:
    def keep(ctx: Any, _param: Any, value: Any) -> Any:
        if value is not None and value is not False:
            flags: Flags = Session.of(ctx).flags
            setattr(flags, field, value)
        return value

    return keep
