"""Every help of torkctl is whole: what the command does, what its arguments and options mean, and an example that is right."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import typer.main

from tests.support.torkctl_tree import COMMANDS, ROOT_COMMAND
from torkctl.session import Session


def help_of(command: Any, path: str) -> str:
    return str(command.get_help(command.context_class(command, info_name=path, terminal_width=200)))


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_a_help_says_what_it_does_and_means_and_has_an_example(path: str) -> None:
    command = COMMANDS[path]
    assert command.help
    assert [param.name for param in command.params if not getattr(param, "help", None)] == []
    assert re.search(rf"^ *Example: torkctl {path}\b", help_of(command, path), re.MULTILINE)


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_the_example_of_a_help_can_be_typed(path: str) -> None:
    """As far as the command line goes: no verb is run."""
    [example] = re.findall(r"^ *Example: torkctl (.*)$", help_of(COMMANDS[path], path), re.MULTILINE)
    words = shlex.split(re.split(r" (?:&&|>|\|) ", example)[0])
    ctx = ROOT_COMMAND.make_context("torkctl", words, obj=Session())
    while isinstance(ctx.command, typer.core.TyperGroup):
        name, command, rest = ctx.command.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
        assert command is not None
        ctx = command.make_context(name, rest, parent=ctx)
    assert ctx.command_path.startswith(f"torkctl {path}")
