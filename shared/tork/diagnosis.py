"""What the doctor says: a check each, and what was or would be repaired."""

from __future__ import annotations

from tork.wire import Told


class Check(Told, frozen=True, kw_only=True):
    """One thing that should always hold."""

    name: str
    ok: bool
    message: str
    """What holds, or what is wrong."""
    ids: list[str] = []
    """What it is wrong of: jobs, tasks, queues, directories. At most so many as were looked for."""
    advice: str = ""
    """What to do about it."""
    repair: str = ""
    """What a repair does about it; empty where nothing can be repaired."""


class Diagnosis(Told, frozen=True, kw_only=True):
    """Every check."""

    ok: bool
    checks: list[Check]


class Repair(Told, frozen=True, kw_only=True):
    """What was done about one check, or would be."""

    name: str
    action: str
    ids: list[str] = []


class Treatment(Told, frozen=True, kw_only=True):
    """All repairs, and what is found after them (of a dry run: before them)."""

    dry_run: bool
    repairs: list[Repair]
    after: Diagnosis
