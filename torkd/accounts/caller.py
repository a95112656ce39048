"""Whoever sends a request, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass

from tork.account import ADMIN_SLUG, GUEST_ID, GUEST_USERNAME, Role, User
from torkd.datastore.account_protocol import Viewer


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Somebody with an account, or the guest. `user` is the account as it is stored, where that is known."""

    user_id: str = GUEST_ID
    username: str = GUEST_USERNAME
    roles: tuple[Role, ...] = ()
    has_all_rights: bool = False
    """Whatever the roles: the key of the configuration has no account."""
    user: User | None = None

    @property
    def is_admin(self) -> bool:
        """Whether they may do everything, and see everybody's jobs."""
        return self.has_all_rights or any(role.slug == ADMIN_SLUG for role in self.roles)

    @property
    def role_slugs(self) -> list[str]:
        """What their roles are called."""
        return [role.slug for role in self.roles]

    @property
    def viewer(self) -> Viewer | None:
        """For looking at jobs; None: all of them."""
        if self.is_admin:
            return None
        return Viewer(user_id=self.user_id, role_ids=tuple(role.id for role in self.roles))


ANYBODY = Caller(has_all_rights=True)
"""Where nobody is asked who they are, everybody is the guest and may do everything."""
NOBODY = Caller()
"""Somebody who was let in without being asked, and has no rights."""
