"""Who asks. `torkd.api.middleware.authentication` finds out; resources ask here and nowhere else."""

from __future__ import annotations

import falcon

from torkd.accounts.caller import ANYBODY, Caller


def caller_of(req: falcon.Request) -> Caller:
    """Whoever sent the request. Where nobody is asked who they are, that is the guest with all rights."""
    caller = req.context.get("caller")
    return caller if isinstance(caller, Caller) else ANYBODY


def address_of(req: falcon.Request) -> str:
    """The address of the client, as far as it can be trusted."""
    address = req.context.get("client_address")
    return address if isinstance(address, str) else req.remote_addr or ""
