"""`python -m torkd.engine docs/states.md` writes the diagrams and tables of states into the page."""

from __future__ import annotations

import sys
from pathlib import Path

from torkd.engine.diagram import with_states

if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(with_states(page.read_text(encoding="utf-8")), encoding="utf-8")
