"""The verbs of torkctl, put together. Imports here are paid by every command: what is heavy sits inside the verbs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperGroup, TyperOption
from typer.exceptions import TyperException

from torkctl import diagnostics
from torkctl.arguments import Command, global_options
from torkctl.commands.cancel import cancel
from torkctl.commands.doctor import doctor
from torkctl.commands.get import get
from torkctl.commands.health import health
from torkctl.commands.list import list_jobs
from torkctl.commands.logs import logs
from torkctl.commands.restart import restart
from torkctl.commands.retry import retry
from torkctl.commands.run import run
from torkctl.commands.schema import schema
from torkctl.commands.skip import skip
from torkctl.commands.submit import submit
from torkctl.commands.timeline import timeline
from torkctl.commands.top import top
from torkctl.commands.tree import tree
from torkctl.commands.validate import validate
from torkctl.commands.wait import wait
from torkctl.commands.watch import watch
from torkctl.commands.why import why
from torkctl.diagnostics import ExitCode
from torkctl.nouns import NOUNS, load
from torkctl.session import Session

_VERBS: dict[str, Callable[..., int]] = {
    "run": run,
    "submit": submit,
    "validate": validate,
    "schema": schema,
    "wait": wait,
    "watch": watch,
    "list": list_jobs,
    "get": get,
    "tree": tree,
    "timeline": timeline,
    "top": top,
    "logs": logs,
    "why": why,
    "cancel": cancel,
    "restart": restart,
    "retry": retry,
    "skip": skip,
    "doctor": doctor,
    "health": health,
}
_ALIASES: dict[str, Callable[..., int]] = {"ls": list_jobs}


_COMPLETE = "_TORKCTL_COMPLETE"
"""Set by the scripts that --install-completion installs."""


class _Root(TyperGroup):
    """The program itself: it takes the global options too, before the verb."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "params": [_version_option(), *global_options()]})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The verb or noun. A noun is loaded when it is asked for; all of them are, when a word is unknown, for a suggestion."""
        wanted = [cmd_name] if cmd_name in NOUNS else [] if cmd_name in self.commands else NOUNS
        for name in wanted:
            if name not in self.commands:
                self.add_command(load(name), name)
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        """All verbs and nouns."""
        return list(dict.fromkeys([*super().list_commands(ctx), *NOUNS]))


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command line. Returns its exit code; raises what the verb raises."""
    root = typer.main.get_command(_app())
    if instruction := os.environ.get(_COMPLETE):
        return _complete(root, instruction)
    try:
        with root.make_context("torkctl", list(arguments), obj=Session()) as ctx:
            code = root.invoke(ctx)
    except typer.Exit as end:
        return end.exit_code
    except TyperException as error:
        _tell_usage(error)
        return ExitCode.USAGE
    return code if isinstance(code, int) else ExitCode.DONE


def _complete(root: Any, instruction: str) -> int:
    """What a shell asks when somebody presses Tab."""
    from typer.completion import shell_complete

    return shell_complete(root, {"obj": Session()}, "torkctl", _COMPLETE, instruction)


def _app() -> typer.Typer:
    app = typer.Typer(
        cls=_Root,
        name="torkctl",
        help="Submit, follow and manage jobs of a Tork server.",
        no_args_is_help=True,
        add_completion=True,
        rich_markup_mode=None,  # rich's help takes twice as long to show
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    for name, verb in _VERBS.items():
        app.command(name, cls=Command)(verb)
    for name, verb in _ALIASES.items():
        app.command(name, cls=Command, hidden=True)(verb)
    return app


def _version_option() -> TyperOption:
    return TyperOption(
        param_decls=["--version"],
        is_flag=True,
        default=False,
        is_eager=True,
        expose_value=False,
        callback=_show_version,
        help="Print the version and exit.",
    )


def _show_version(ctx: Any, _param: Any, value: Any) -> Any:
    if value and not ctx.resilient_parsing:
        from tork.version import VERSION
        from torkctl.output import stdout

        stdout.write_lines([f"torkctl {VERSION}"])
        raise typer.Exit
    return value


def _tell_usage(error: TyperException) -> None:
    ctx = getattr(error, "ctx", None)
    message = error.format_message()
    if ctx is None or message.startswith("Usage:"):
        diagnostics.problem(message)  # without arguments the message is the help itself
        return
    diagnostics.error(f"{message} (see {ctx.command_path} --help)")
