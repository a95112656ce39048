"""Lets pytest say what an assertion of the suites compared. Imported first, before any of them is."""

from __future__ import annotations

import pytest

_SUITES = ("datastore", "dead_letter", "event_queue", "mounter", "order", "runtime", "task_queue")

pytest.register_assert_rewrite(*(f"torkd.testing.{name}_contract" for name in _SUITES))
