"""`python -m tork.definition docs/jobs.md` writes the tables of keys into the page."""

from __future__ import annotations

import sys
from pathlib import Path

from tork.definition.reference import with_key_tables

if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(with_key_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
