"""The name under which a task's container is found on its networks: the task's own name, made fit for DNS.

Never empty and never longer than a label of DNS. Letters of other alphabets have no such form: they are left out.
"""

from __future__ import annotations

import re
import unicodedata

NAMELESS = "task"
"""For a name of which nothing is left."""
_LONGEST = 63
_OTHERS = re.compile(r"[^a-z0-9_]+")
_EDGES = "-_"
_LETTERS = {
    **dict(zip(map(ord, "øđðłħŧ\N{LATIN SMALL LETTER DOTLESS I}"), "oddlhti", strict=True)),
    **dict(zip(map(ord, "ßæœþŋ"), ("ss", "ae", "oe", "th", "ng"), strict=True)),
}
"""Latin letters that Unicode does not take apart into a letter and an accent, in lower case."""


def slug(name: str) -> str:
    """The name in lower case and without accents; runs of all but letters, digits and `_` become one `-`."""
    lower = unicodedata.normalize("NFKC", name).lower().translate(_LETTERS)
    parts = unicodedata.normalize("NFKD", lower)
    plain = "".join(character for character in parts if not unicodedata.combining(character))
    fitting = _OTHERS.sub("-", plain).strip(_EDGES)
    return fitting[:_LONGEST].rstrip(_EDGES) or NAMELESS
