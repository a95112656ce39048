"""`/keys`: named keys for programs. A key is told once, when it is made; afterwards only that it exists."""

from __future__ import annotations

import falcon

from tork.account import KEY_PREFIX, ApiKey
from tork.page import Page
from tork.wire import Told
from torkd.accounts.issuing import create_key
from torkd.accounts.names import check_slug
from torkd.api.accounts import PAGING, AccountsResource, answer_done, answer_page, told
from torkd.api.documents import read_document
from torkd.api.errors import refusal
from torkd.api.media import answer, plain
from torkd.api.operations import Body, Done, operation
from torkd.datastore.account_protocol import UserChange


class GivenKey(Told, frozen=True, kw_only=True):
    """What `POST` and `PUT` read. A field that is left out stays as it is."""

    name: str | None = None
    roles: list[str] | None = None
    disabled: bool | None = None


class KeysResource(AccountsResource):
    """All keys, and each."""

    @operation("All keys, by name", answer=Page[ApiKey], parameters=PAGING)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        answer_page(req, resp, self._accounts.list_keys)

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
        change = UserChange(
            name=name,
            username=None if name is None else KEY_PREFIX + name,
            disabled=given.disabled,
            roles=given.roles,
        )
        changed = self._accounts.change_key(key, change)
        self._changed()
        req.context.target = changed.name
        req.context.detail = told(change)
        answer(req, resp, plain(changed))

    @operation("Delete a key: it is useless from then on", answer=Done)
    def on_delete_one(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        req.context.target = self._accounts.delete_key(key).name
        self._changed()
        answer_done(req, resp)
