"""Who asks: users and roles, and the permissions of a job."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from tork.wire import Given, Told

GUEST_USERNAME = "guest"
"""The built-in user that owns what nobody in particular submitted."""
GUEST_ID = "0" * 32
ADMIN_SLUG = "admin"
"""The role whose members may do everything."""
BUILT_IN_ROLES = frozenset({ADMIN_SLUG, "public"})
KEY_PREFIX = "key:"
"""The account of a named key is called so; no user can be, since a colon ends the name in basic authentication."""


class User(Told, frozen=True, kw_only=True):
    """An account. Passwords and their hashes never leave the datastore."""

    id: str = ""
    name: str = ""
    username: str = ""
    created_at: datetime | None = None
    disabled: bool = False


class Account(User, frozen=True, kw_only=True):
    """An account with the slugs of its roles."""

    roles: list[str] = []


class ApiKey(Told, frozen=True, kw_only=True):
    """A named key. `key` is there only in the answer to its creation."""

    id: str
    name: str
    roles: list[str] = []
    created_at: datetime
    last_used_at: datetime | None = None
    disabled: bool = False
    key: str = ""


class AuditEntry(Told, frozen=True, kw_only=True):
    """One thing that somebody did."""

    id: int
    at: datetime
    username: str
    user_id: str = ""
    action: str
    target: str = ""
    detail: str = ""
    address: str = ""


class Role(Told, frozen=True, kw_only=True):
    """A named group of users."""

    id: str = ""
    slug: str = ""
    name: str = ""
    created_at: datetime | None = None


class PermissionDefinition(Given, frozen=True, kw_only=True):
    """Who may see the job: exactly one of a user or a role."""

    user: Annotated[str, Meta(description="A user name")] = ""
    role: Annotated[str, Meta(description="A role's slug")] = ""


class Permission(Told, frozen=True, kw_only=True):
    """Who may see the job, with the account itself."""

    role: Role | None = None
    user: User | None = None
