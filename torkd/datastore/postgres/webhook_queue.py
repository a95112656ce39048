"""Delivering webhooks: claims of lanes, and what became of them."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

import msgspec

from tork.errors import BadData
from tork.wire import StoredDecoder
from torkd.datastore.postgres.pool import Pool
from torkd.datastore.postgres.sealed_columns import SealedColumns
from torkd.datastore.postgres.statements import load_statements
from torkd.datastore.webhook_protocol import ClaimedLane, DueDelivery, Settlement
from torkd.hooks.webhook_request import HookRequest

log = logging.getLogger(__name__)

SQL = load_statements("webhooks.sql")

_decode_request = StoredDecoder(HookRequest).decode


class PostgresWebhooks:
    """Implements `torkd.datastore.webhook_protocol.Webhooks`."""

    def __init__(self, pool: Pool, columns: SealedColumns) -> None:
        self._lanes_pool, self._lanes_sealed = pool, columns

    def claim_webhooks(
        self, node_id: str, *, lease_seconds: float, limit: int, busy: Collection[str]
    ) -> ClaimedLane | None:
        """Claim the lane that is due for the longest."""
        with self._lanes_pool.connection() as connection:
            asked = {"node": node_id, "lease": lease_seconds, "busy": list(busy)}
            lane = connection.execute(SQL.claim_lane, asked).fetchone()
            if lane is None:
                return None
            job_id, number, claim, target, tries, waiting = lane
            place = {"job": job_id, "lane": number}
            rows = connection.execute(SQL.first_deliveries, place | {"limit": limit}).fetchall()
            if not rows:
                connection.execute(SQL.nothing_waits, place | {"claim": claim, "waiting": waiting})
        return ClaimedLane(
            job_id=job_id,
            lane=number,
            claim=claim,
            target=target,
            tries=tries,
            deliveries=[self._due(job_id, row) for row in rows],
        )

    def _due(self, job_id: str, row: tuple[Any, ...]) -> DueDelivery:
        version, number, event, request, age = row
        return DueDelivery(
            id=f"{job_id}-{version}-{number}",
            place=(version, number),
            event=event,
            request=self._request(job_id, request),
            age_seconds=age,
        )

    def _request(self, job_id: str, stored: str) -> HookRequest | None:
        try:
            return _decode_request(self._lanes_sealed.open(job_id, stored))
        except (BadData, msgspec.DecodeError) as error:
            log.warning("a stored request of a webhook can't be read: %s", error, extra={"job_id": job_id})
            return None

    def settle_webhooks(self, claimed: ClaimedLane, settlement: Settlement) -> bool:
        """Write what became of the first deliveries."""
        version, number = settlement.done_to or (0, 0)
        place = {"job": claimed.job_id, "lane": claimed.lane}
        values = place | {
            "claim": claimed.claim,
            "done": settlement.delivered + settlement.given_up,
            "delivered": settlement.delivered,
            "given_up": settlement.given_up,
            "tries": settlement.tries,
            "tried_at": settlement.tried_at,
            "status": settlement.status,
            "error": self._lanes_sealed.close(claimed.job_id, settlement.error) or None,
            "keep": settlement.keep,
            "seconds": settlement.wait_seconds,
            "version": version,
            "number": number,
        }
        with self._lanes_pool.connection() as connection:
            lane = connection.execute(SQL.settle, values).fetchone()
            if lane is not None and lane[1] and lane[0] <= 0:
                connection.execute(SQL.forget_lane, place)
        return lane is not None

    def seconds_to_next_webhook(self, busy: Collection[str]) -> float | None:
        """How long until a lane is due."""
        with self._lanes_pool.connection() as connection:
            row = connection.execute(SQL.next_lane, {"busy": list(busy)}).fetchone()
        return row[0] if row else None

    def release_webhooks(self, node_id: str) -> None:
        """Give up the claims of the process before this one."""
        with self._lanes_pool.connection() as connection:
            connection.execute(SQL.release_lanes, {"node": node_id})
