"""Accounts without a database: enough to sign in, and to see some jobs. Changing them is tested on the real one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from tork.account import Account, ApiKey, AuditEntry, PermissionDefinition, Role, User
from tork.errors import NotFound
from tork.page import Page
from torkd.accounts.passwords import hash_password
from torkd.datastore.account_protocol import Act, AuditQuery, Credentials, NewUser, UserChange, Viewer, not_found

ADMIN = Role(id="r-admin", slug="admin", name="Administrators")


class FakeAccounts:
    """What a test puts in. `hidden` jobs are seen by nobody but admins; everything asked of the store is counted."""

    def __init__(self) -> None:
        self.known: dict[str, Credentials] = {}
        self.acts: list[Act] = []
        self.hidden: set[str] = set()
        self.task_jobs: dict[str, str] = {}
        self.asked = 0
        self.used_keys: list[str] = []

    def put(
        self, username: str, password: str = "", *roles: Role, disabled: bool = False, key_digest: bytes = b""
    ) -> None:
        """An account whose id is its name."""
        self.known[username] = Credentials(
            user=User(id=username, username=username, disabled=disabled),
            roles=roles,
            password_hash=hash_password(password) if password else "",
            key_digest=key_digest,
        )

    def credentials(self, *, username: str = "", user_id: str = "") -> Credentials | None:
        self.asked += 1
        return self.known.get(username or user_id)

    def note_key_use(self, key_id: str) -> None:
        self.used_keys.append(key_id)

    def resolve_permissions(self, permissions: Sequence[PermissionDefinition]) -> list[str | None]:
        return [named if (named := one.user or one.role) in self.known else None for one in permissions]

    def visible_jobs(self, viewer: Viewer, job_ids: Collection[str]) -> set[str]:
        self.asked += 1
        return set(job_ids) - self.hidden

    def may_see_schedule(self, viewer: Viewer, schedule_id: str) -> bool:
        self.asked += 1
        return schedule_id not in self.hidden

    def job_of_task(self, task_id: str) -> str:
        if task_id not in self.task_jobs:
            raise NotFound("task not found")
        return self.task_jobs[task_id]

    def write_down(self, acts: Sequence[Act]) -> None:
        self.acts += acts

    def list_users(self, *, page: int, size: int) -> Page[Account]:
        return _page([])

    def get_user(self, reference: str) -> Account:
        raise not_found("user", reference)

    def create_user(self, user: NewUser) -> Account:
        return Account(id=user.id, username=user.username, name=user.name, roles=list(user.roles))

    def change_user(self, reference: str, change: UserChange) -> Account:
        raise not_found("user", reference)

    def delete_user(self, reference: str) -> Account:
        raise not_found("user", reference)

    def list_roles(self, *, page: int, size: int) -> Page[Role]:
        return _page([ADMIN])

    def get_role(self, reference: str) -> Role:
        raise not_found("role", reference)

    def create_role(self, role_id: str, slug: str, name: str) -> Role:
        return Role(id=role_id, slug=slug, name=name)

    def rename_role(self, reference: str, name: str) -> Role:
        raise not_found("role", reference)

    def delete_role(self, reference: str) -> Role:
        raise not_found("role", reference)

    def list_keys(self, *, page: int, size: int) -> Page[ApiKey]:
        return _page([])

    def get_key(self, reference: str) -> ApiKey:
        raise not_found("key", reference)

    def create_key(self, user: NewUser) -> ApiKey:
        raise not_found("key", user.name)

    def change_key(self, reference: str, change: UserChange) -> ApiKey:
        raise not_found("key", reference)

    def delete_key(self, reference: str) -> ApiKey:
        raise not_found("key", reference)

    def list_audit(self, query: AuditQuery, *, page: int, size: int) -> Page[AuditEntry]:
        return _page([])


def _page(items: list[Any]) -> Page[Any]:
    return Page(items=items, number=1, size=len(items), total_pages=1, total_items=len(items))
