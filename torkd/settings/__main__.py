"""`python -m torkd.settings docs/configuration.md` writes the table of settings into the page, after its marker."""

from __future__ import annotations

import sys
from pathlib import Path

from torkd.settings.rendering import TABLE_MARKER, settings_table

if __name__ == "__main__":
    page = Path(sys.argv[1])
    before, marker, _ = page.read_text(encoding="utf-8").partition(TABLE_MARKER)
    if not marker:
        sys.exit(f"{page} has no line '{TABLE_MARKER.strip()}', after which the table belongs")
    page.write_text(before + marker + settings_table(), encoding="utf-8")
