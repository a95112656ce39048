"""The part of the datastore's port that is about webhooks: what is to be delivered, in which order, and what became of it.

Deliveries are written by `Batch.write`, together with the change that they tell of. They are kept by lane: the requests of one job
to one address, which go out one after the other. A lane is claimed for a while by one coordinator at a time, so no transaction is
open while a receiver takes its time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tork.webhook import WebhookStatus
from torkd.hooks.webhook_request import HookRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class DueDelivery:
    """A request to be made."""

    id: str
    """The same in every try."""
    place: tuple[int, int]
    """In its lane."""
    event: str
    request: HookRequest | None
    """None when what is stored can't be read."""
    age_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedLane:
    """The first deliveries of a lane, to be made in this order."""

    job_id: str
    lane: int
    claim: int
    target: str
    tries: int
    """Of the first delivery, so far."""
    deliveries: Sequence[DueDelivery]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """What became of the first deliveries of a claimed lane."""

    done_to: tuple[int, int] | None = None
    """The place of the last that is done or given up, with all before it."""
    delivered: int = 0
    given_up: int = 0
    tries: int = 0
    """Of the first that is left."""
    tried_at: datetime | None = None
    """The last try of any; None when there was none."""
    status: int | None = None
    error: str = ""
    wait_seconds: float = 0.0
    """Before the first that is left may be tried; with `keep` how long the claim lasts from now on."""
    keep: bool = False
    """Whether whoever settles goes on with the lane."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookFigures:
    """How deliveries are doing: two counts that only grow, and two of now."""

    delivered: int
    given_up: int
    waiting: int
    failing: int
    """Addresses whose next delivery has failed at least once."""


class Webhooks(Protocol):
    """Delivering. A claim that has run out is somebody else's: what its holder settles afterwards changes nothing."""

    def claim_webhooks(
        self, node_id: str, *, lease_seconds: float, limit: int, busy: Collection[str]
    ) -> ClaimedLane | None:
        """Claim the lane that is due for the longest, unless its target is among the `busy` ones; None when there is none."""

    def settle_webhooks(self, claimed: ClaimedLane, settlement: Settlement) -> bool:
        """Write what became of it, and release the lane unless it is kept; whether the claim still held."""

    def seconds_to_next_webhook(self, busy: Collection[str]) -> float | None:
        """How long until a lane of another target is due: 0 or less when one is; None when none waits."""

    def release_webhooks(self, node_id: str) -> None:
        """Give up every claim of a node that has just started: they are of the process before it."""


class WebhookReading(Protocol):
    """Looking at deliveries."""

    def webhooks_of(self, job_id: str) -> list[WebhookStatus]:
        """How each address of a job is doing, in the order of the job's list. Raises `NotFound`."""

    def webhook_figures(self) -> WebhookFigures:
        """The figures of now, in one short statement."""
