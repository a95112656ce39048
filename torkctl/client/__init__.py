"""The REST API as typed calls: names and values in, tork's values or torkctl's errors out."""

from __future__ import annotations

from torkctl.client.api import Api
from torkctl.client.following import follow_job, follow_log
from torkctl.client.patience import Patience
from torkctl.client.transport import Transport

__all__ = ["Api", "Patience", "Transport", "follow_job", "follow_log"]
