"""`/users`: accounts of people, for admins; and one's own."""

from __future__ import annotations

import falcon

from tork.account import Account
from tork.errors import NotFound, StateConflict
from tork.page import Page
from tork.wire import Told
from torkd.accounts.names import check_username
from torkd.accounts.passwords import hash_password, is_password, is_too_long, what_is_wrong_with
from torkd.api.accounts import PAGING, AccountsResource, answer_done, answer_page, told
from torkd.api.auth import caller_of
from torkd.api.documents import read_document
from torkd.api.errors import refusal
from torkd.api.media import answer, plain
from torkd.api.operations import Body, Done, operation
from torkd.datastore.account_protocol import NewUser, UserChange

_ME = "me"


class GivenUser(Told, frozen=True, kw_only=True):
    """What `POST` and `PUT` read. A field that is left out stays as it is."""

    name: str | None = None
    username: str | None = None
    password: str | None = None
    disabled: bool | None = None
    roles: list[str] | None = None


class GivenPassword(Told, frozen=True, kw_only=True):
    """A new password, and the one before for those who change their own."""

    password: str = ""
    current: str = ""


class UsersResource(AccountsResource):
    """All users, and each."""

    @operation("All users, by name", answer=Page[Account], parameters=PAGING)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        answer_page(req, resp, self._accounts.list_users)

    @operation("Make an account", answer=Account, body=Body(kind=GivenUser))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        given = read_document(req, GivenUser, limit=self._body_limit)
        username, password = (given.username or "").strip(), (given.password or "").strip()
        if not username:
            raise refusal(400, "must provide username")
        if not password:
            raise refusal(400, "must provide password")
        _check_password(password)
        check_username(username)
        user = self._accounts.create_user(
            NewUser(
                id=self._new_id(),
                username=username,
                name=(given.name or "").strip(),
                password_hash=hash_password(password),
                roles=given.roles or (),
                disabled=bool(given.disabled),
            )
        )
        req.context.target = user.username
        req.context.detail = ", ".join(user.roles)
        answer(req, resp, plain(user))

    @operation("An account; `me` is one's own", answer=Account)
    def on_get_one(self, req: falcon.Request, resp: falcon.Response, user: str) -> None:
        answer(req, resp, plain(self._find(req, user)))

    @operation("Change an account", answer=Account, body=Body(kind=GivenUser))
    def on_put_one(self, req: falcon.Request, resp: falcon.Response, user: str) -> None:
        given = read_document(req, GivenUser, limit=self._body_limit)
        username = None if given.username is None else given.username.strip()
        if username is not None:
            if not username:
                raise refusal(400, "must provide username")
            check_username(username)
        password = None if given.password is None else given.password.strip()
        if password is not None:
            if not password:
                raise refusal(400, "must provide password")
            _check_password(password)
        change = UserChange(
            name=None if given.name is None else given.name.strip(),
            username=username,
            password_hash=None if password is None else hash_password(password),
            disabled=given.disabled,
            roles=given.roles,
        )
        self._change(req, resp, self._find(req, user).id, change)

    @operation("Delete an account; its jobs stay", answer=Done)
    def on_delete_one(self, req: falcon.Request, resp: falcon.Response, user: str) -> None:
        gone = self._accounts.delete_user(self._find(req, user).id)
        self._changed()
        req.context.target = gone.username
        answer_done(req, resp)

    @operation("Change a password", answer=Done, body=Body(kind=GivenPassword))
    def on_put_password(self, req: falcon.Request, resp: falcon.Response, user: str) -> None:
        """Only an admin may do without the present one, and only for others."""
        given = read_document(req, GivenPassword, limit=self._body_limit)
        password = given.password.strip()
        if not password:
            raise refusal(400, "must provide password")
        _check_password(password)
        account, caller = self._find(req, user), caller_of(req)
        if account.id == caller.user_id or not caller.is_admin:
            stored = self._accounts.credentials(user_id=account.id)
            if stored is None or not is_password(given.current.strip(), stored.password_hash):
                raise refusal(400, "current: not the present password")
        self._accounts.change_user(account.id, UserChange(password_hash=hash_password(password)))
        self._changed()
        req.context.target = account.username
        answer_done(req, resp)

    @operation("Give an account a role", answer=Account)
    def on_put_role(self, req: falcon.Request, resp: falcon.Response, user: str, role: str) -> None:
        account, slug = self._find(req, user), self._accounts.get_role(role).slug
        req.context.detail = slug
        self._change(req, resp, account.id, UserChange(granted=[slug]))

    @operation("Take a role from an account", answer=Account)
    def on_delete_role(self, req: falcon.Request, resp: falcon.Response, user: str, role: str) -> None:
        account, slug = self._find(req, user), self._accounts.get_role(role).slug
        if slug not in account.roles:
            raise NotFound(f"{account.username} does not have the role {slug}")
        req.context.detail = slug
        self._change(req, resp, account.id, UserChange(revoked=[slug]))

    def _change(self, req: falcon.Request, resp: falcon.Response, user_id: str, change: UserChange) -> None:
        changed = self._accounts.change_user(user_id, change)
        self._changed()
        req.context.target = changed.username
        if not req.context.get("detail"):
            req.context.detail = told(change)
        answer(req, resp, plain(changed))

    def _find(self, req: falcon.Request, reference: str) -> Account:
        """`me` is whoever asks: also a key, which is nobody's to find here otherwise."""
        if reference != _ME:
            return self._accounts.get_user(reference)
        caller = caller_of(req)
        try:
            return self._accounts.get_user(caller.user_id)
        except NotFound:
            if req.method != "GET" or caller.user is None:
                raise StateConflict("this is no account of a user (right would be to sign in as one)") from None
            known = caller.user
            return Account(
                id=known.id,
                name=known.name,
                username=known.username,
                created_at=known.created_at,
                roles=caller.role_slugs,
            )


def _check_password(password: str) -> None:
    if is_too_long(password):
        raise refusal(400, "invalid password")  # the words of the system whose API this is
    if wrong := what_is_wrong_with(password):
        raise refusal(400, wrong)
