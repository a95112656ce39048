"""`/openapi.json` and `/docs`: the API described for programs and for people. Both need nothing from elsewhere."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import falcon

from torkd.api.application import App
from torkd.api.docs_page import page_of
from torkd.api.media import answer
from torkd.api.openapi import document_of
from torkd.api.operations import operation
from torkd.api.options import ApiOptions

HTML = "text/html; charset=utf-8"
_ONLY_OURS = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"


class DocumentationResource:
    """Describes all routes of an application, its own included. Made when it is first asked for: by then all are there."""

    def __init__(self, app: App, version: str, options: ApiOptions) -> None:
        self._app, self._version, self._options = app, version, options

    @cached_property
    def _document(self) -> dict[str, Any]:
        return document_of(self._app.routes, version=self._version, options=self._options)

    @cached_property
    def _page(self) -> bytes:
        return page_of(self._document).encode()

    @operation("This API as an OpenAPI document", answer=dict[str, Any])
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        answer(req, resp, self._document)

    @operation("This API as a page for people", media="text/html")
    def on_get_page(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = HTML
        resp.set_header("Content-Security-Policy", _ONLY_OURS)
        resp.data = self._page
