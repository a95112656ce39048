"""Asks who sends a request: a user with a password (`Basic`), or whoever has a key (`Bearer`). `GET /health` is for everybody."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from functools import partial

import falcon

from torkd.accounts.caller import NOBODY, Caller
from torkd.accounts.sign_in import SignIn, TooManyTries
from torkd.api.auth import address_of
from torkd.api.errors import refusal
from torkd.api.middleware.client_address import bucket_of

_CHALLENGE = {"WWW-Authenticate": "basic realm=Restricted"}


class Authentication:
    """One of the two ways, or both. Errors are those of the API that clients know."""

    def __init__(self, sign_in: SignIn, *, passwords: bool, keys: bool) -> None:
        self._sign_in = sign_in
        self._passwords = passwords
        self._keys = keys

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        if req.path == "/health":
            req.context.caller = self._known(req)
            return
        scheme, _, given = (req.auth or "").partition(" ")
        address = bucket_of(address_of(req))
        try:
            caller = self._caller(scheme.lower(), given.strip(), address)
        except TooManyTries as error:
            raise refusal(429, str(error), {"Retry-After": str(error.seconds)}) from error
        if caller is None:
            raise refusal(401, "Unauthorized", _CHALLENGE if self._passwords else None)
        req.context.caller = caller
        req.context.is_still_allowed = partial(self._sign_in.is_still, caller)

    def _known(self, req: falcon.Request) -> Caller:
        """Whoever has said who they are where nobody has to. Whose word is not good is nobody, and not refused."""
        scheme, _, given = (req.auth or "").partition(" ")
        if not scheme:
            return NOBODY
        try:
            return self._caller(scheme.lower(), given.strip(), bucket_of(address_of(req))) or NOBODY
        except (TooManyTries, falcon.HTTPError):
            return NOBODY

    def _caller(self, scheme: str, given: str, address: str) -> Caller | None:
        if self._keys and scheme == "bearer":
            return self._sign_in.by_key(given, address)
        if self._passwords:
            return self._by_password(given, address) if scheme == "basic" else None
        if not scheme:
            raise refusal(400, "missing key in request header")
        raise refusal(400, "invalid key in the request header")

    def _by_password(self, given: str, address: str) -> Caller | None:
        try:
            username, colon, password = b64decode(given, validate=True).decode().partition(":")
        except (Base64Error, UnicodeDecodeError, ValueError) as error:
            raise refusal(
                400, "the Authorization header can't be read (right would be Basic, and user:password in base64)"
            ) from error
        return self._sign_in.by_password(username, password, address) if colon and username else None
