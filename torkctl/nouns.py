"""Things with verbs of their own, as in `torkctl queues delete NAME`. Their modules are loaded when they are asked for.

Each is a module of `torkctl.commands` with a function `app` that makes its commands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from torkctl.arguments import Command, global_options

NOUNS = ("queues", "nodes", "schedules", "webhooks", "users", "roles", "keys", "audit", "context")
LIST = "list"


class Noun(TyperGroup):
    """A thing with verbs of its own. Without one, `list` is meant."""

    takes_name = False
    """Whether a word that is none of its verbs is the name of one of the things, to be listed alone."""

    def __init__(self, *args: Any, params: list[Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, params=[*(params or []), *global_options()], **kwargs)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The verb, put in front where none is said."""
        if self._means_list(args) and not ctx.resilient_parsing:
            args = [LIST, *args]
        return super().parse_args(ctx, args)

    def _means_list(self, args: Sequence[str]) -> bool:
        if LIST not in self.commands or {"--help", "-h"} & set(args):
            return False
        word = _first_word(args, [*self.params, *self.commands[LIST].params])
        return word is None or (self.takes_name and word not in self.commands)


class NamedNoun(Noun):
    """One whose things can be listed by their name alone."""

    takes_name = True

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """The verbs, and the names."""
        offers = super().shell_complete(ctx, incomplete)
        names = [param for param in self.commands[LIST].params if param.param_type_name == "argument"]
        return [*offers, *(offer for param in names for offer in param.shell_complete(ctx, incomplete))]


def noun(
    name: str, help_text: str, verbs: Mapping[str, Callable[..., int]], *, takes_name: bool = False, within: str = ""
) -> typer.Typer:
    """An app of those verbs."""
    app = typer.Typer(
        cls=NamedNoun if takes_name else Noun,
        name=name,
        help=help_text,
        epilog=f"Example: torkctl {within}{name}",
        no_args_is_help=False,
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    for verb, command in verbs.items():
        app.command(verb, cls=Command)(command)
    return app


def load(name: str) -> Any:
    """The command of that noun."""
    module = import_module(f"torkctl.commands.{name}")
    command = typer.main.get_command(module.app())
    command.name = name
    return command


def _first_word(args: Sequence[str], options: Sequence[Any]) -> str | None:
    """The first argument that is no option and no option's value."""
    with_value = {name for option in options if not getattr(option, "is_flag", True) for name in option.opts}
    words = iter(args)
    for word in words:
        if word in with_value:
            next(words, None)
        elif not word.startswith("-") or word == "-":
            return word
    return None
