"""`GET /audit`: who did what, the latest first."""

from __future__ import annotations

import falcon

from tork.account import AuditEntry
from tork.page import Page
from torkd.api.media import answer, plain
from torkd.api.operations import operation, paging, text
from torkd.api.paging import page_number, page_size
from torkd.datastore.account_protocol import Accounts, AuditQuery


class AuditResource:
    """The log of who did what."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    @operation(
        "Who did what, the latest first",
        answer=Page[AuditEntry],
        parameters=(
            *paging(default=25, most=100),
            text("user", "Of this user only"),
            text("action", "This action only, such as job.cancel"),
            text("target", "Done to this only, such as the id of a job"),
        ),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query = AuditQuery(
            username=req.get_param("user") or "",
            action=req.get_param("action") or "",
            target=req.get_param("target") or "",
        )
        page = self._accounts.list_audit(query, page=page_number(req), size=page_size(req, default=25, most=100))
        answer(req, resp, plain(page))
