"""What every section is: a frozen value whose fields carry a `Kind` (one key each) or are sections (tables)."""

from __future__ import annotations

from msgspec import Struct


class Section(Struct, frozen=True, kw_only=True):
    """One table of the configuration file."""
