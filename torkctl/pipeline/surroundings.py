"""Which build server torkctl runs under, and which one it speaks to."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from torkctl import workflow_commands
from torkctl.errors import UsageProblem


class Server(StrEnum):
    """A build server with a language of its own."""

    GITHUB = "github"
    GITLAB = "gitlab"
    NONE = "none"


def server_of(choice: str, environ: Mapping[str, str]) -> Server:
    """The server that `--ci` names, or with `auto` the one that the environment tells of. Raises `UsageProblem`."""
    if choice == "auto":
        if workflow_commands.is_obeyed(environ):
            return Server.GITHUB
        return Server.GITLAB if environ.get("GITLAB_CI") == "true" else Server.NONE
    try:
        return Server(choice)
    except ValueError:
        raise UsageProblem(f"--ci: '{choice}' is not known (right would be auto, github, gitlab or none)") from None
