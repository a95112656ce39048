"""The port to job middleware. Any subset of the methods will do; what is not overridden costs nothing."""

from __future__ import annotations

from typing import Any, Protocol

from tork.job import JobDefinition, JobSummary


class Caller(Protocol):
    """Whoever sends a request. Where nobody is asked who they are, that is the guest, who may do everything."""

    @property
    def username(self) -> str:
        """Of the account."""

    @property
    def user_id(self) -> str:
        """Of the account."""

    @property
    def role_slugs(self) -> list[str]:
        """What their roles are called."""

    @property
    def is_admin(self) -> bool:
        """Whether they may do everything."""


class JobMiddleware:
    """Sees jobs. The methods are called from several threads at once."""

    def submitted(self, definition: JobDefinition, caller: Caller) -> JobDefinition:  # noqa: ARG002 -- for those who override it
        """Before a job is accepted, in the request's thread: the definition to accept, which is then checked again.

        Raises `tork.errors.Refused` to refuse the job: the client gets 400 with its text. A request that is sent again with
        its idempotency key comes again.
        """
        return definition

    def changed(self, job: JobSummary) -> None:
        """After a change of a job's state was committed, in the coordinator that committed it and once.

        `job` has the state of that commit; several changes in one commit are one. Called in a thread of its own that may fall
        behind, and never again for what a crash or a full queue has lost: what must not be lost is a webhook's business.
        """

    def shown(self, document: dict[str, Any]) -> dict[str, Any]:
        """For each document of a job that leaves by the API, after secrets were hidden: the document to send.

        The document is this method's to change. Times in it are `datetime` values. Lists, live streams and awaited jobs come
        through here too, so it must be quick.
        """
        return document
