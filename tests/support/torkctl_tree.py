"""All commands of torkctl, by what is typed: `list`, `queues`, `queues dead replay`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from torkctl.cli import _app

ROOT_COMMAND: Any = typer.main.get_command(_app())


def _walk(command: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    ctx = command.context_class(command)
    for name in command.list_commands(ctx):
        found = command.get_command(ctx, name)
        path = f"{before} {name}".strip()
        if not found.hidden:
            yield path, found
        if hasattr(found, "list_commands"):
            yield from _walk(found, path)


COMMANDS = dict(_walk(ROOT_COMMAND))
