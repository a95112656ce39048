"""`GET /jobs/{id}/webhooks`: how the addresses that a job tells of itself are doing."""

from __future__ import annotations

import falcon

from tork.webhook import WebhookStatus
from torkd.api.media import answer
from torkd.api.operations import operation
from torkd.api.showing import Showing
from torkd.datastore.webhook_protocol import WebhookReading


class JobWebhooksResource:
    """The webhooks of one job."""

    def __init__(self, reading: WebhookReading, showing: Showing) -> None:
        self._reading = reading
        self._showing = showing

    @operation("How each address in the webhooks of a job is doing", answer=list[WebhookStatus], errors=(404,))
    def on_get(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        answer(req, resp, self._showing.of_job(job_id, self._reading.webhooks_of(job_id)))
