"""The port to accounts: users, roles, named keys, and the log of who did what. A part of the datastore's.

Errors are those of `torkd.datastore.protocol`, and `StateConflict` for what an account's state forbids: a name that is taken,
the last admin.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from tork.account import GUEST_ID, Account, ApiKey, AuditEntry, PermissionDefinition, Role, User
from tork.errors import NotFound
from tork.page import Page

AUDIT_SECONDS = 2160 * 3600.0
"""How long the log of who did what is kept, unless told otherwise."""


def not_found(noun: str, reference: str) -> NotFound:
    """There is no user, role or key that is called so, or has this id. The same words for what somebody may not see."""
    return NotFound(f"{noun} '{reference[:100]}' not found")


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewer:
    """Whose jobs are looked for: those without permissions, their own, and those that name them or one of their roles."""

    user_id: str
    role_ids: tuple[str, ...] = ()

    @property
    def ids(self) -> list[str]:
        """What a job's permissions may name."""
        return [self.user_id, *self.role_ids]


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """What somebody did, to be written down."""

    username: str
    user_id: str = ""
    action: str
    target: str = ""
    detail: str = ""
    address: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitter:
    """For whom a job is accepted, and who else may see it."""

    user_id: str = GUEST_ID
    viewers: tuple[str, ...] | None = None
    """Ids of users and roles; None: everybody."""
    act: Act | None = None
    """Written down together with the job, which becomes its target."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """An account and what proves that somebody is it."""

    user: User
    roles: tuple[Role, ...] = ()
    password_hash: str = ""
    """Empty: nobody can sign in with a password."""
    key_digest: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewUser:
    """An account to be made."""

    id: str
    username: str
    name: str = ""
    password_hash: str = ""
    key_digest: bytes = b""
    """Of an account that is a named key."""
    roles: Collection[str] = ()
    """Slugs."""
    disabled: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class UserChange:
    """What changes of an account; None stays as it is."""

    name: str | None = None
    username: str | None = None
    password_hash: str | None = None
    disabled: bool | None = None
    roles: Collection[str] | None = None
    """Slugs: all that it has then."""
    granted: Collection[str] = ()
    """Slugs of roles that it has from now on, beside those that it has at that moment."""
    revoked: Collection[str] = ()
    """And of those that it has no longer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditQuery:
    """Which entries of the log. Empty fields do not filter."""

    username: str = ""
    action: str = ""
    target: str = ""


class Accounts(Protocol):
    """Users, roles, keys. A user or key is asked for by its id or its name, a role by its id or its slug."""

    def credentials(self, *, username: str = "", user_id: str = "") -> Credentials | None:
        """Of an account that exists, disabled or not."""

    def note_key_use(self, key_id: str) -> None:
        """The key was used just now."""

    def resolve_permissions(self, permissions: Sequence[PermissionDefinition]) -> list[str | None]:
        """The id of each user or role that is named; None where there is no such."""

    def visible_jobs(self, viewer: Viewer, job_ids: Collection[str]) -> set[str]:
        """Those of these jobs that exist and may be seen, in one statement."""

    def may_see_schedule(self, viewer: Viewer, schedule_id: str) -> bool:
        """Whether it exists and may be seen."""

    def job_of_task(self, task_id: str) -> str:
        """The id of a task's job. Raises `NotFound`."""

    def list_users(self, *, page: int, size: int) -> Page[Account]:
        """By name; without keys."""

    def get_user(self, reference: str) -> Account:
        """Raises `NotFound`."""

    def create_user(self, user: NewUser) -> Account:
        """Raises `StateConflict` when the name is taken or a role does not exist."""

    def change_user(self, reference: str, change: UserChange) -> Account:
        """Raises `NotFound`, `StateConflict` when it takes the last admin away."""

    def delete_user(self, reference: str) -> Account:
        """The account is gone, its name free; its jobs still tell who made them. Raises as `change_user` does."""

    def list_roles(self, *, page: int, size: int) -> Page[Role]:
        """By slug."""

    def get_role(self, reference: str) -> Role:
        """Raises `NotFound`."""

    def create_role(self, role_id: str, slug: str, name: str) -> Role:
        """Raises `StateConflict` when the slug is taken."""

    def rename_role(self, reference: str, name: str) -> Role:
        """Raises `NotFound`."""

    def delete_role(self, reference: str) -> Role:
        """Nobody has it any more; jobs that only it could see stay hidden. Raises `NotFound`, `StateConflict` for a built-in one."""

    def list_keys(self, *, page: int, size: int) -> Page[ApiKey]:
        """By name."""

    def get_key(self, reference: str) -> ApiKey:
        """Raises `NotFound`."""

    def create_key(self, user: NewUser) -> ApiKey:
        """As `create_user`."""

    def change_key(self, reference: str, change: UserChange) -> ApiKey:
        """As `change_user`."""

    def delete_key(self, reference: str) -> ApiKey:
        """Nobody can use it any more. Raises `NotFound`."""

    def write_down(self, acts: Sequence[Act]) -> None:
        """Add to the log of who did what."""

    def list_audit(self, query: AuditQuery, *, page: int, size: int) -> Page[AuditEntry]:
        """Newest first."""
