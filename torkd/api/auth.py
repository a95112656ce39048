"""Who asks. Until accounts are checked everybody is the built-in guest; resources ask here and nowhere else."""

from __future__ import annotations

import falcon

from tork.account import GUEST_USERNAME


def caller_of(req: falcon.Request) -> str:
    """The user name of whoever sent the request."""
    return req.context.get("username") or GUEST_USERNAME
