"""Making a named key: what leaves is the key itself, what stays is a digest."""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from tork.account import KEY_PREFIX, ApiKey
from torkd.accounts.keys import digest_of, make_key
from torkd.accounts.names import check_slug
from torkd.datastore.account_protocol import Accounts, NewUser


def create_key(accounts: Accounts, key_id: str, name: str, roles: Collection[str]) -> ApiKey:
    """A new key, with the key itself, which can't be had again. Raises `StateConflict`."""
    check_slug(name, "a key's name")
    key = make_key(key_id)
    made = accounts.create_key(
        NewUser(id=key_id, username=KEY_PREFIX + name, name=name, key_digest=digest_of(key), roles=roles)
    )
    return replace(made, key=key)
