"""What users, roles and keys have in common as resources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import falcon

from tork.page import Page
from torkd.api.media import answer, plain
from torkd.api.operations import paging
from torkd.api.paging import page_number, page_size
from torkd.datastore.account_protocol import Accounts, UserChange

_DEFAULT, _MOST = 10, 100
PAGING = paging(default=_DEFAULT, most=_MOST)


class AccountsResource:
    """One kind of account. `changed` is called after every change: what was remembered of sign-ins holds no longer."""

    def __init__(
        self, accounts: Accounts, *, new_id: Callable[[], str], changed: Callable[[], None], body_limit: int
    ) -> None:
        self._accounts = accounts
        self._new_id = new_id
        self._changed = changed
        self._body_limit = body_limit


def answer_page(req: falcon.Request, resp: falcon.Response, find: Callable[..., Page[Any]]) -> None:
    """The page that was asked for, of those that `find` finds."""
    page = find(page=page_number(req), size=page_size(req, default=_DEFAULT, most=_MOST))
    answer(req, resp, plain(page))


def answer_done(req: falcon.Request, resp: falcon.Response) -> None:
    """It was done, and there is nothing more to say."""
    answer(req, resp, {"status": "OK"})


def told(change: UserChange) -> str:
    """What changes of an account, for the log of who did what: without passwords."""
    parts = [
        f"username: {change.username}" if change.username is not None else "",
        f"disabled: {str(change.disabled).lower()}" if change.disabled is not None else "",
        f"roles: {', '.join(sorted(change.roles))}" if change.roles is not None else "",
        "password" if change.password_hash is not None else "",
    ]
    return "; ".join(part for part in parts if part)
