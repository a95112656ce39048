"""Asking before something is removed, and taking in what nobody should see."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from torkctl import diagnostics
from torkctl.errors import Declined, UsageProblem


def confirm(action: str, *, yes: bool) -> None:
    """Ask whether that should be done, such as `delete the user 'ada'`.

    Raises `Declined` when the answer is no, and `UsageProblem` when there is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageProblem(f"nobody can be asked whether to {action}: stdin is no terminal (right would be --yes)")
    diagnostics.prompt(f"{action[:1].upper()}{action[1:]}? [y/N] ")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Declined("nothing was changed")


def secret(
    option: str, source: str | None, prompt: str, *, twice: bool, environ: Mapping[str, str] = os.environ
) -> str:
    """A secret that does not stand on the command line: from `@FILE`, `env:VARIABLE`, or `-`, a line of stdin.

    Without a source it is typed on a terminal, `twice` where a slip would lock somebody out; elsewhere it is a line of stdin.
    """
    from torkctl.submission import secret_value

    if source is None and sys.stdin.isatty():
        text = _typed(prompt, twice=twice)
    elif source in {None, "-"}:
        text = sys.stdin.readline().rstrip("\r\n")
    elif source is not None and source.startswith(("@", "env:")):
        text = secret_value(option, source, environ)
    else:
        raise UsageProblem(
            f"{option}: what is secret does not belong on the command line, where others can read it (right would be"
            f" {option} @FILE, {option} env:VARIABLE, or {option} - for a line of stdin)"
        )
    if not text.strip():
        raise UsageProblem(
            f"{option}: it is empty (right would be a line on stdin, {option} @FILE or {option} env:VARIABLE)"
        )
    return text


def _typed(prompt: str, *, twice: bool) -> str:
    import getpass

    try:
        text = getpass.getpass(f"{prompt}: ")
        again = getpass.getpass("once more: ") if twice else text
    except EOFError:
        raise KeyboardInterrupt from None
    if again != text:
        raise UsageProblem("the two differ: nothing was changed")
    return text
