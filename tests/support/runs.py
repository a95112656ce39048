"""See `torkd.testing.runs`, which authors of adapters use too."""

from __future__ import annotations

from torkd.testing.runs import RecordedLog, RecordedRun

__all__ = ["RecordedLog", "RecordedRun"]
