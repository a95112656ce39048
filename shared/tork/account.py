"""Who asks: users and roles, and the permissions of a job."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from tork.wire import Given, Told

GUEST_USERNAME = "guest"
"""The built-in user that owns what nobody in particular submitted."""


class User(Told, frozen=True, kw_only=True):
    """An account. Passwords and their hashes never leave the datastore."""

    id: str = ""
    name: str = ""
    username: str = ""
    created_at: datetime | None = None
    disabled: bool = False


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
