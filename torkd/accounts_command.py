"""`torkd user`, `torkd role`, `torkd key`: accounts on the machine of the database, so that there can be a first admin.

Passwords come from a prompt, a file or stdin, never from the command line, where other users could read them.
"""

from __future__ import annotations

import argparse
import getpass
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tork.account import ADMIN_SLUG, Account, ApiKey
from tork.errors import NotFound, StartError, StateConflict, TorkError
from torkd.accounts.issuing import create_key
from torkd.accounts.names import check_slug, check_username
from torkd.accounts.passwords import hash_password, what_is_wrong_with
from torkd.clock import new_id
from torkd.coordinator_wiring import make_datastore
from torkd.database import configured_database
from torkd.datastore.account_protocol import Accounts, Act, NewUser, UserChange
from torkd.datastore.postgres.migrations import check_schema
from torkd.extensions import Extensions
from torkd.settings import Loaded

_ME = "torkd"
"""Who did it, in the log: whoever may run this has the database anyway."""
_AT_ONCE = 100


def accounts(options: argparse.Namespace, loaded: Loaded, extensions: Extensions) -> int:
    """Carry out one of them; the exit code. Raises `StartError` and `Unavailable`."""
    # Drivers log each attempt to connect; what is wrong is told in one line.
    logging.getLogger().addHandler(logging.NullHandler())
    password = _password(options) if "password_file" in options else ""
    with _opened(loaded, extensions) as store:
        try:
            match options.command:
                case "user":
                    _user(options, store, password)
                case "role":
                    _role(options, store)
                case _:
                    _key(options, store)
        except StateConflict as conflict:
            raise StartError(_named(conflict, options)) from conflict
        except NotFound as missing:
            raise NotFound(_named(missing, options)) from missing
    return 0


def _named(error: TorkError, options: argparse.Namespace) -> str:
    """The error, with the name where clients of the API count on a sentence without, and with what to do on this machine."""
    sentence = str(error)
    noun = sentence.partition(" ")[0]
    if sentence == "user already exists":
        return f"user '{options.name}' already exists"
    return f"{sentence} (torkd {noun} list tells those that exist)" if sentence.endswith(" not found") else sentence


def _password(options: argparse.Namespace) -> str:
    source = options.password_file
    if source is None and sys.stdin.isatty():
        password = _typed(options.name)
    else:
        password = _first_line(source or "-")
    password = password.strip()
    if not password:
        raise StartError("there is no password (right would be --password-file FILE, or a line on stdin)")
    if wrong := what_is_wrong_with(password):
        raise StartError(wrong)
    return password


def _typed(name: str) -> str:
    try:
        password = getpass.getpass(f"password of {name}: ")
        again = getpass.getpass("once more: ")
    except EOFError:
        return ""
    if again != password:
        raise StartError("the two passwords differ: nothing was changed")
    return password


def _first_line(source: str) -> str:
    try:
        if source == "-":
            return sys.stdin.buffer.readline().decode()
        return Path(source).read_bytes().partition(b"\n")[0].decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise StartError(f"--password-file {source} can't be read: {reason}") from error


@contextmanager
def _opened(loaded: Loaded, extensions: Extensions) -> Iterator[Accounts]:
    with configured_database(loaded) as dsn:
        if loaded.settings.datastore.type == "postgres":
            check_schema(dsn)
        datastore = make_datastore(loaded.settings, extensions, dsn)
        datastore.open()
        try:
            yield datastore
        finally:
            datastore.close()


def _user(options: argparse.Namespace, store: Accounts, password: str) -> None:
    match options.verb:
        case "create":
            check_username(options.name)
            roles = {*options.role, *([ADMIN_SLUG] if options.admin else [])}
            user = NewUser(
                id=new_id(),
                username=options.name,
                name=options.full_name or options.name,
                password_hash=hash_password(password),
                roles=roles,
            )
            _tell(store.create_user(user))
        case "list":
            for account in _all(store.list_users):
                _tell(account)
            return
        case "passwd":
            store.change_user(options.name, UserChange(password_hash=hash_password(password)))
        case "enable" | "disable":
            _tell(store.change_user(options.name, UserChange(disabled=options.verb == "disable")))
        case "delete":
            store.delete_user(options.name)
        case verb:
            slug = store.get_role(options.role).slug
            change = UserChange(granted=[slug]) if verb == "grant" else UserChange(revoked=[slug])
            _tell(store.change_user(options.name, change))
    store.write_down([Act(username=_ME, action=f"user.{options.verb}", target=options.name)])


def _role(options: argparse.Namespace, store: Accounts) -> None:
    match options.verb:
        case "list":
            for role in _all(store.list_roles):
                sys.stdout.write(f"{role.slug}\t{role.name}\n")
            return
        case "create":
            check_slug(options.role, "a role's slug")
            role = store.create_role(new_id(), options.role, options.full_name or options.role)
            sys.stdout.write(f"{role.slug}\t{role.name}\n")
        case _:
            store.delete_role(options.role)
    store.write_down([Act(username=_ME, action=f"role.{options.verb}", target=options.role)])


def _key(options: argparse.Namespace, store: Accounts) -> None:
    match options.verb:
        case "list":
            for key in _all(store.list_keys):
                _tell(key)
            return
        case "create":
            sys.stdout.write(f"{create_key(store, new_id(), options.name, options.role).key}\n")
        case _:
            store.delete_key(options.name)
    store.write_down([Act(username=_ME, action=f"key.{options.verb}", target=options.name)])


def _all(pages: Any) -> Iterator[Any]:
    number, total = 1, 1
    while number <= total:
        page = pages(page=number, size=_AT_ONCE)
        yield from page.items
        number, total = number + 1, page.total_pages


def _tell(account: Account | ApiKey) -> None:
    name = account.name if isinstance(account, ApiKey) else account.username
    state = "disabled" if account.disabled else "enabled"
    sys.stdout.write(f"{name}\t{state}\t{','.join(account.roles) or '-'}\n")
