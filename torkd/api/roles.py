"""`/roles`: what permissions of jobs can name besides users."""

from __future__ import annotations

import falcon

from tork.account import Role
from tork.page import Page
from tork.wire import Told
from torkd.accounts.names import check_slug
from torkd.api.accounts import PAGING, AccountsResource, answer_done, answer_page
from torkd.api.documents import read_document
from torkd.api.errors import refusal
from torkd.api.media import answer, plain
from torkd.api.operations import Body, Done, operation


class GivenRole(Told, frozen=True, kw_only=True):
    """What `POST` and `PUT` read."""

    slug: str = ""
    name: str = ""


class RolesResource(AccountsResource):
    """All roles, and each."""

    @operation("All roles, by slug", answer=Page[Role], parameters=PAGING)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        answer_page(req, resp, self._accounts.list_roles)

    @operation("Make a role", answer=Role, body=Body(kind=GivenRole))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        given = read_document(req, GivenRole, limit=self._body_limit)
        slug = given.slug.strip()
        if not slug:
            raise refusal(400, "must provide slug")
        check_slug(slug, "a role's slug")
        role = self._accounts.create_role(self._new_id(), slug, given.name.strip() or slug)
        req.context.target = role.slug
        answer(req, resp, plain(role))

    @operation("A role", answer=Role)
    def on_get_one(self, req: falcon.Request, resp: falcon.Response, role: str) -> None:
        answer(req, resp, plain(self._accounts.get_role(role)))

    @operation("Rename a role", answer=Role, body=Body(kind=GivenRole))
    def on_put_one(self, req: falcon.Request, resp: falcon.Response, role: str) -> None:
        """Only the name: jobs and files refer to the slug."""
        given = read_document(req, GivenRole, limit=self._body_limit)
        if not given.name.strip():
            raise refusal(400, "must provide name")
        known = self._accounts.get_role(role)
        if given.slug.strip() not in {"", known.slug}:
            raise refusal(400, "a role's slug can't be changed (right would be a new role)")
        answer(req, resp, plain(self._accounts.rename_role(known.id, given.name.strip())))

    @operation("Delete a role; nobody has it any more", answer=Done)
    def on_delete_one(self, req: falcon.Request, resp: falcon.Response, role: str) -> None:
        req.context.target = self._accounts.delete_role(role).slug
        self._changed()
        answer_done(req, resp)
