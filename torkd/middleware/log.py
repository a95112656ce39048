"""The port to log middleware. Any subset of the methods will do; what is not overridden costs nothing."""

from __future__ import annotations

from typing import Any


class LogMiddleware:
    """Sees what tasks print: the first method on workers, the other beside coordinators. Called from several threads at once."""

    def printed(self, text: str) -> str:
        """What a task printed within a moment, after its job's secrets were hidden and before it is stored or sent: what to send.

        Whole lines, except that one of more than 64 KiB comes in pieces. Text that gets longer makes more parts, an empty one none.
        Also called with the error text of a run that failed, which quotes the last lines. It holds up the task, so it must be quick.
        """
        return text

    def shown(self, part: dict[str, Any]) -> dict[str, Any]:
        """For each part of a log that leaves by the API, after secrets were hidden: the document to send."""
        return part
