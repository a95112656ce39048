"""From rows to accounts, roles, keys and entries of the log."""

from __future__ import annotations

from tork.account import KEY_PREFIX, Account, ApiKey, AuditEntry, Permission, Role, User
from tork.wire import as_utc
from torkd.datastore.account_protocol import Credentials
from torkd.datastore.postgres.querying import Row, moment


def read_account(row: Row) -> Account:
    """A user with the slugs of its roles."""
    return Account(
        id=row["id"],
        name=row["name"],
        username=row["username"],
        created_at=as_utc(row["created_at"]),
        disabled=row["disabled"],
        roles=row["roles"],
    )


def read_key(row: Row) -> ApiKey:
    """A key, whose account has its name."""
    return ApiKey(
        id=row["id"],
        name=row["username"].removeprefix(KEY_PREFIX),
        created_at=as_utc(row["created_at"]),
        last_used_at=moment(row["last_used_at"]),
        disabled=row["disabled"],
        roles=row["roles"],
    )


def read_role(row: Row) -> Role:
    """A role."""
    return Role(id=row["id"], slug=row["slug"], name=row["name"], created_at=as_utc(row["created_at"]))


def read_credentials(row: Row) -> Credentials:
    """An account with its roles and its secrets' digests."""
    return Credentials(
        user=User(
            id=row["id"],
            name=row["name"],
            username=row["username"],
            created_at=as_utc(row["created_at"]),
            disabled=row["disabled"],
        ),
        roles=tuple(Role(id=role["id"], slug=role["slug"], name=role["name"]) for role in row["roles"]),
        password_hash=row["password_hash"],
        key_digest=bytes(row["digest"] or b""),
    )


def read_permission(row: Row) -> Permission:
    """A user or a role."""
    if row["user_id"] is None:
        created_at = as_utc(row["role_created_at"])
        return Permission(role=Role(id=row["role_id"], slug=row["slug"], name=row["role_name"], created_at=created_at))
    return Permission(
        user=User(
            id=row["user_id"],
            name=row["user_name"],
            username=row["username"],
            created_at=as_utc(row["user_created_at"]),
            disabled=row["disabled"],
        )
    )


def read_entry(row: Row) -> AuditEntry:
    """An entry of the log."""
    return AuditEntry(
        id=row["seq"],
        at=as_utc(row["at"]),
        user_id=row["user_id"],
        username=row["username"],
        action=row["action"],
        target=row["target"],
        detail=row["detail"],
        address=row["address"],
    )
