"""Users, roles, keys, and what was done, as rows."""

from __future__ import annotations

from collections.abc import Sequence

from tork.account import Account, ApiKey, AuditEntry, Role
from torkctl.output.tables import Table
from torkctl.output.times import moment
from torkctl.settings import OutputFormat


def users_table(users: Sequence[Account], output: OutputFormat) -> Table:
    """A row each."""
    columns = ["username", "name", "state", "roles"]
    rows = [[user.username, user.name, _state(user.disabled), ", ".join(user.roles)] for user in users]
    if output is OutputFormat.WIDE:
        columns += ["id", "created"]
        rows = [[*row, user.id, moment(user.created_at)] for row, user in zip(rows, users, strict=True)]
    return Table(columns=columns, rows=rows, shortened="name")


def roles_table(roles: Sequence[Role], output: OutputFormat) -> Table:
    """A row each."""
    columns = ["role", "name"]
    rows = [[role.slug, role.name] for role in roles]
    if output is OutputFormat.WIDE:
        columns += ["id", "created"]
        rows = [[*row, role.id, moment(role.created_at)] for row, role in zip(rows, roles, strict=True)]
    return Table(columns=columns, rows=rows, shortened="name")


def keys_table(keys: Sequence[ApiKey], output: OutputFormat) -> Table:
    """A row each, without what a key is."""
    columns = ["name", "state", "roles", "last used"]
    rows = [[key.name, _state(key.disabled), ", ".join(key.roles), moment(key.last_used_at)] for key in keys]
    if output is OutputFormat.WIDE:
        columns += ["id", "created"]
        rows = [[*row, key.id, moment(key.created_at)] for row, key in zip(rows, keys, strict=True)]
    return Table(columns=columns, rows=rows, shortened="name")


def audit_table(entries: Sequence[AuditEntry], output: OutputFormat) -> Table:
    """A row each."""
    columns = ["at", "user", "action", "target", "detail"]
    rows = [[moment(entry.at), entry.username, entry.action, entry.target, entry.detail] for entry in entries]
    if output is OutputFormat.WIDE:
        columns += ["address", "id"]
        rows = [[*row, entry.address, str(entry.id)] for row, entry in zip(rows, entries, strict=True)]
    return Table(columns=columns, rows=rows, shortened="detail", dropped=("detail",))


def account_fields(user: Account) -> list[tuple[str, str]]:
    """One account, for a person."""
    return [
        ("username", user.username),
        ("name", user.name),
        ("state", _state(user.disabled)),
        ("roles", ", ".join(user.roles)),
        ("id", user.id),
        ("created", moment(user.created_at)),
    ]


def _state(disabled: bool) -> str:
    return "disabled" if disabled else "enabled"
