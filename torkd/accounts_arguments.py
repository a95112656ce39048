"""The command lines of `torkd user`, `torkd role` and `torkd key`; what carries them out costs more to import."""

from __future__ import annotations

import argparse
from typing import Any


def add_account_commands(commands: Any) -> None:
    """The three commands, for the daemon's command line."""
    user = commands.add_parser("user", help="accounts: create, list, passwd, enable, disable, grant, revoke, delete")
    verbs = user.add_subparsers(dest="verb", required=True, metavar="VERB")
    create = _verb(verbs, "create", "make an account; the first admin is made so", "name")
    create.add_argument("--admin", action="store_true", help="with the role admin, which may do everything")
    create.add_argument("--role", action="append", default=[], metavar="SLUG", help="with this role; may be repeated")
    create.add_argument("--full-name", default="", help="what to call them")
    _add_password(create)
    _verb(verbs, "list", "every account with its roles")
    _add_password(_verb(verbs, "passwd", "give an account another password", "name"))
    _verb(verbs, "enable", "let an account sign in again", "name")
    _verb(verbs, "disable", "let an account sign in no more", "name")
    _verb(verbs, "delete", "remove an account; its jobs stay", "name")
    _verb(verbs, "grant", "give an account a role", "name", "role")
    _verb(verbs, "revoke", "take a role from an account", "name", "role")
    role = commands.add_parser("role", help="roles: create, list, delete")
    verbs = role.add_subparsers(dest="verb", required=True, metavar="VERB")
    _verb(verbs, "create", "make a role", "role").add_argument("--full-name", default="", help="what to call it")
    _verb(verbs, "list", "every role")
    _verb(verbs, "delete", "remove a role; jobs that only it could see stay hidden", "role")
    key = commands.add_parser("key", help="keys for programs: create, list, delete")
    verbs = key.add_subparsers(dest="verb", required=True, metavar="VERB")
    made = _verb(verbs, "create", "make a key, and print it: it can't be seen again", "name")
    made.add_argument("--role", action="append", default=[], metavar="SLUG", help="with this role; may be repeated")
    _verb(verbs, "list", "every key with its roles")
    _verb(verbs, "delete", "make a key useless", "name")


def _verb(verbs: Any, name: str, means: str, *arguments: str) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=means, description=f"{means[0].upper()}{means[1:]}.")
    for argument in arguments:
        verb.add_argument(argument, metavar=argument.upper())
    return verb


def _add_password(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--password-file", metavar="FILE", help="the password is the first line of this file; '-': of stdin"
    )
