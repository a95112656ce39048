"""See `torkd.testing.waiting`, which authors of adapters use too."""

from __future__ import annotations

from torkd.testing.waiting import wait_until

__all__ = ["wait_until"]
