"""Why a job, a task or a schedule is as it is: what can be known of it comes in, one sentence with its evidence goes out."""

from __future__ import annotations

from torkctl.reasons.explaining import explain, explain_schedule
from torkctl.reasons.facts import Evidence, Facts, Reason, Subject

__all__ = ["Evidence", "Facts", "Reason", "Subject", "explain", "explain_schedule"]
