"""`/keys`: named keys for programs. A key is told once, when it is made; afterwards only that it exists."""

from __future__ import annotations

from collections.abc import Callable

import falcon

from tork.account import KEY_PREFIX, ApiKey
from tork.page import Page
from tork.wire import Told
from torkd.accounts.issuing import create_key
from torkd.accounts.names import check_slug
from torkd.api.documents import read_document
from torkd.api.errors import refusal
from torkd.api.media import answer, plain
from torkd.api.operations import Body, Done, operation, paging
from torkd.api.paging import page_number, page_size
from torkd.datastore.account_protocol import Accounts, UserChange

_OK = {"status": "OK"}


class GivenKey(Told, frozen=True, kw_only=True):
    """What `POST` and `PUT` read. A field that is left out stays as it is."""

    name: str | None = None
    roles: list[str] | None = None
    disabled: bool | None = None


class KeysResource:
    """All keys, and each."""

    def __init__(
        self, accounts: Accounts, *, new_id: Callable[[], str], changed: Callable[[], None], body_limit: int
    ) -> None:
        self._accounts = accounts
        self._new_id = new_id
        self._changed = changed
        self._body_limit = body_limit

    @operation("All keys, by name", answer=Page[ApiKey], parameters=paging(default=10, most=100))
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        page = self._accounts.list_keys(page=page_number(req), size=page_size(req, default=10, most=100))
        answer(req, resp, plain(page))

    @operation("Make a key; only this answer has it", answer=ApiKey, body=Body(kind=GivenKey))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        given = read_document(req, GivenKey, limit=self._body_limit)
        name = (given.name or "").strip()
        if not name:
            raise refusal(400, "must provide name")
        made = create_key(self._accounts, self._new_id(), name, given.roles or [])
        req.context.target = made.name
        req.context.detail = ", ".join(made.roles)
        answer(req, resp, plain(made))

    @operation("A key, without what it is", answer=ApiKey)
    def on_get_one(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        answer(req, resp, plain(self._accounts.get_key(key)))

    @operation("Change a key", answer=ApiKey, body=Body(kind=GivenKey))
    def on_put_one(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        given = read_document(req, GivenKey, limit=self._body_limit)
        name = None if given.name is None else given.name.strip()
        if name is not None:
            check_slug(name, "a key's name")
        changed = self._accounts.change_key(
            key,
            UserChange(
                name=name,
                username=None if name is None else KEY_PREFIX + name,
                disabled=given.disabled,
                roles=given.roles,
            ),
        )
        self._changed()
        req.context.target = changed.name
        answer(req, resp, plain(changed))

    @operation("Delete a key: it is useless from then on", answer=Done)
    def on_delete_one(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        req.context.target = self._accounts.delete_key(key).name
        self._changed()
        answer(req, resp, dict(_OK))
