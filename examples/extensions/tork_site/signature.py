"""Web middleware: every answer says which site it comes from."""

from __future__ import annotations

import falcon


class Signature:
    """Falcon middleware."""

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Add the header, also to refusals."""
        resp.set_header("X-Site", "example")
