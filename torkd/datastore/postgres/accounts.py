"""Users, roles and named keys. Whoever changes them takes the lock of all changes, so that the last admin stays one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg

from tork import wire
from tork.account import (
    ADMIN_SLUG,
    BUILT_IN_ROLES,
    GUEST_ID,
    KEY_PREFIX,
    Account,
    ApiKey,
    AuditEntry,
    PermissionDefinition,
    Role,
)
from tork.errors import NotFound, StateConflict
from tork.page import Page
from torkd.datastore.account_protocol import Act, AuditQuery, Credentials, NewUser, UserChange, Viewer, not_found
from torkd.datastore.postgres import account_rows as rows
from torkd.datastore.postgres.pages import COUNT_LIMIT, offset_of, page_of
from torkd.datastore.postgres.querying import Querying, Row, bindable
from torkd.datastore.postgres.statements import load_statements

_SQL = load_statements("accounts.sql")
_AUDIT_SQL = load_statements("batch.sql")
T = TypeVar("T")


class PostgresAccounts(Querying):
    """Implements `torkd.datastore.account_protocol.Accounts`."""

    def credentials(self, *, username: str = "", user_id: str = "") -> Credentials | None:
        asked = {"username": bindable(username), "user_id": bindable(user_id)}
        with self._cursor() as cursor:
            row = cursor.execute(_SQL.credentials, asked).fetchone()
        return rows.read_credentials(row) if row else None

    def note_key_use(self, key_id: str) -> None:
        with self._cursor() as cursor:
            cursor.execute(_SQL.note_key_use, {"id": key_id})

    def resolve_permissions(self, permissions: Sequence[PermissionDefinition]) -> list[str | None]:
        asked = {
            "usernames": [bindable(permission.user) for permission in permissions],
            "slugs": [bindable(permission.role) for permission in permissions],
        }
        with self._cursor() as cursor:
            return [row["id"] for row in cursor.execute(_SQL.resolve_permissions, asked)]

    def visible_jobs(self, viewer: Viewer, job_ids: Collection[str]) -> set[str]:
        asked = {
            "job_ids": [bindable(job_id) for job_id in job_ids],
            "viewer": viewer.user_id,
            "viewer_ids": viewer.ids,
        }
        with self._cursor() as cursor:
            return {row["id"] for row in cursor.execute(_SQL.visible_jobs, asked)}

    def may_see_schedule(self, viewer: Viewer, schedule_id: str) -> bool:
        asked = {"schedule_id": bindable(schedule_id), "viewer": viewer.user_id, "viewer_ids": viewer.ids}
        with self._cursor() as cursor:
            return cursor.execute(_SQL.visible_schedule, asked).fetchone() is not None

    def job_of_task(self, task_id: str) -> str:
        with self._cursor() as cursor:
            row = cursor.execute(_SQL.job_of_task, {"task_id": bindable(task_id)}).fetchone()
        if row is None:
            raise NotFound("task not found")
        return str(row["job_id"])

    def list_users(self, *, page: int, size: int) -> Page[Account]:
        return self._page("users", rows.read_account, page=page, size=size)

    def get_user(self, reference: str) -> Account:
        with self._cursor() as cursor:
            return rows.read_account(_account(cursor, reference, is_key=False))

    def create_user(self, user: NewUser) -> Account:
        with self._changing() as cursor:
            _insert(cursor, user, "user")
            return rows.read_account(_account(cursor, user.id, is_key=False))

    def change_user(self, reference: str, change: UserChange) -> Account:
        with self._changing() as cursor:
            account = _account(cursor, reference, is_key=False)
            if account["id"] == GUEST_ID:
                raise StateConflict("the guest is built in and can't be changed")
            with _keeping_an_admin(cursor, account["username"]):
                _change(cursor, account, change, "user")
            return rows.read_account(_account(cursor, account["id"], is_key=False))

    def delete_user(self, reference: str) -> Account:
        with self._changing() as cursor:
            account = _account(cursor, reference, is_key=False)
            if account["id"] == GUEST_ID:
                raise StateConflict("the guest is built in and can't be deleted")
            with _keeping_an_admin(cursor, account["username"]):
                cursor.execute(_SQL.delete_user, {"id": account["id"]})
                cursor.execute(_SQL.set_roles, {"id": account["id"], "slugs": []})
        return rows.read_account(account)

    def list_roles(self, *, page: int, size: int) -> Page[Role]:
        return self._page("roles", rows.read_role, page=page, size=size)

    def get_role(self, reference: str) -> Role:
        with self._cursor() as cursor:
            return rows.read_role(_role(cursor, reference))

    def create_role(self, role_id: str, slug: str, name: str) -> Role:
        asked = {"id": role_id, "slug": bindable(slug), "name": bindable(name)}
        with self._changing() as cursor:
            row = cursor.execute(_SQL.insert_role, asked).fetchone()
        if row is None:
            raise StateConflict(f"role '{slug}' already exists")
        return rows.read_role(row)

    def rename_role(self, reference: str, name: str) -> Role:
        with self._changing() as cursor:
            role = _role(cursor, reference)
            row = cursor.execute(_SQL.rename_role, {"id": role["id"], "name": bindable(name)}).fetchone()
        return rows.read_role(row or role)

    def delete_role(self, reference: str) -> Role:
        with self._changing() as cursor:
            role = _role(cursor, reference)
            if role["slug"] in BUILT_IN_ROLES:
                raise StateConflict(f"role {role['slug']} is built in and can't be deleted")
            cursor.execute(_SQL.delete_role, {"id": role["id"]})
        return rows.read_role(role)

    def list_keys(self, *, page: int, size: int) -> Page[ApiKey]:
        return self._page("keys", rows.read_key, page=page, size=size)

    def get_key(self, reference: str) -> ApiKey:
        with self._cursor() as cursor:
            return rows.read_key(_key(cursor, reference))

    def create_key(self, user: NewUser) -> ApiKey:
        with self._changing() as cursor:
            _insert(cursor, user, "key")
            cursor.execute(_SQL.insert_key, {"id": user.id, "digest": user.key_digest})
            return rows.read_key(_key(cursor, user.id))

    def change_key(self, reference: str, change: UserChange) -> ApiKey:
        with self._changing() as cursor:
            key = _key(cursor, reference)
            _change(cursor, key, change, "key")
            return rows.read_key(_key(cursor, key["id"]))

    def delete_key(self, reference: str) -> ApiKey:
        with self._changing() as cursor:
            key = _key(cursor, reference)
            cursor.execute(_SQL.delete_user, {"id": key["id"]})
            cursor.execute(_SQL.set_roles, {"id": key["id"], "slugs": []})
            cursor.execute(_SQL.delete_key, {"id": key["id"]})
        return rows.read_key(key)

    def write_down(self, acts: Sequence[Act]) -> None:
        with self._cursor() as cursor:
            cursor.execute(_AUDIT_SQL.audit, {"rows": audit_rows(acts)})

    def list_audit(self, query: AuditQuery, *, page: int, size: int) -> Page[AuditEntry]:
        asked = {
            "username": bindable(query.username),
            "action": bindable(query.action),
            "target": bindable(query.target),
        }
        return self._page("audit", rows.read_entry, asked, page=page, size=size)

    def _page(
        self, noun: str, read: Callable[[Row], T], asked: dict[str, Any] | None = None, *, page: int, size: int
    ) -> Page[T]:
        values = (asked or {}) | {"size": size, "offset": offset_of(page, size), "limit": COUNT_LIMIT}
        with self._cursor() as cursor:
            found = cursor.execute(_SQL[f"list_{noun}"], values).fetchall()
            counted = cursor.execute(_SQL[f"count_{noun}"], values).fetchall()[0]["total"]
        return page_of([read(row) for row in found], page=page, size=size, counted=counted)

    @contextmanager
    def _changing(self) -> Iterator[psycopg.Cursor[Row]]:
        with self._cursor() as cursor:
            cursor.execute(_SQL.lock_accounts)
            yield cursor


def audit_rows(acts: Sequence[Act]) -> str:
    """Entries as the statement takes them."""
    return wire.encode_text(
        [
            {
                name: bindable(getattr(act, name))
                for name in ("user_id", "username", "action", "target", "detail", "address")
            }
            for act in acts
        ]
    )


def _account(cursor: psycopg.Cursor[Row], reference: str, *, is_key: bool) -> Row:
    row = cursor.execute(_SQL.get_account, {"reference": bindable(reference), "is_key": is_key}).fetchone()
    if row is None:
        raise not_found("key" if is_key else "user", reference)
    return row


def _key(cursor: psycopg.Cursor[Row], reference: str) -> Row:
    for name in (reference, KEY_PREFIX + reference):
        with suppress(NotFound):
            return _account(cursor, name, is_key=True)
    raise not_found("key", reference)


def _role(cursor: psycopg.Cursor[Row], reference: str) -> Row:
    row = cursor.execute(_SQL.get_role, {"reference": bindable(reference)}).fetchone()
    if row is None:
        raise not_found("role", reference)
    return row


def _insert(cursor: psycopg.Cursor[Row], user: NewUser, noun: str) -> None:
    values = {
        "id": user.id,
        "name": bindable(user.name),
        "username": bindable(user.username),
        "password_hash": user.password_hash,
        "disabled": user.disabled,
    }
    if cursor.execute(_SQL.insert_user, values).fetchone() is None:
        raise _taken(noun, user.username)
    if user.roles:
        _set_roles(cursor, user.id, user.roles)


def _change(cursor: psycopg.Cursor[Row], account: Row, change: UserChange, noun: str) -> None:
    user_id = account["id"]
    username = None if change.username is None else bindable(change.username)
    if username is not None and cursor.execute(_SQL.name_is_taken, {"id": user_id, "username": username}).fetchone():
        raise _taken(noun, username)
    values = {
        "id": user_id,
        "name": None if change.name is None else bindable(change.name),
        "username": username,
        "password_hash": change.password_hash,
        "disabled": change.disabled,
    }
    cursor.execute(_SQL.change_user, values)
    roles = change.roles
    if change.granted or change.revoked:
        roles = {*(account["roles"] if roles is None else roles), *change.granted} - {*change.revoked}
    if roles is not None:
        _set_roles(cursor, user_id, roles)


def _taken(noun: str, username: str) -> StateConflict:
    """For users the sentence that clients of the system whose API this is may look for."""
    name = "" if noun == "user" else f" '{username.removeprefix(KEY_PREFIX)}'"
    return StateConflict(f"{noun}{name} already exists")


def _set_roles(cursor: psycopg.Cursor[Row], user_id: str, slugs: Collection[str]) -> None:
    asked = {"id": user_id, "slugs": [bindable(slug) for slug in slugs]}
    if unknown := cursor.execute(_SQL.unknown_roles, asked).fetchall():
        raise StateConflict(f"there is no role '{unknown[0]['slug']}' (GET /roles tells those that exist)")
    cursor.execute(_SQL.set_roles, asked)


@contextmanager
def _keeping_an_admin(cursor: psycopg.Cursor[Row], username: str) -> Iterator[None]:
    """What happens in the block must leave somebody who can sign in as admin, if there was one before."""
    before = _count_admins(cursor)
    yield
    if before and not _count_admins(cursor):
        raise StateConflict(f"{username} is the last {ADMIN_SLUG} (right would be to make another one first)")


def _count_admins(cursor: psycopg.Cursor[Row]) -> int:
    return int(cursor.execute(_SQL.count_admins).fetchall()[0]["total"])
