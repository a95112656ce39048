"""See `torkd.testing.messages`, which authors of adapters use too."""

from __future__ import annotations

from torkd.testing.messages import A_TIME, a_claim, a_heartbeat, a_log_part, a_progress, a_report, a_task_message

__all__ = ["A_TIME", "a_claim", "a_heartbeat", "a_log_part", "a_progress", "a_report", "a_task_message"]
