"""SQL from `.sql` files: each statement stands under its name, with a sentence that says what it is for.

    -- name: get_job
    -- A job with its details.
    SELECT ... WHERE id = %(job_id)s;

Values are bound as `%(name)s` and never formatted in. Lines that are only a comment are left out of the statement, so a
percent sign in one means nothing; so is indentation, for psycopg remembers how to bind a statement only when it is short.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"--\s*name:\s*(\w+)\s*$")


class Statements(dict[str, str]):
    """The statements of one file, by name; also as attributes: `JOBS.get_job`."""

    def __getattr__(self, name: str) -> str:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no statement is named '{name}'") from None


@cache
def load_statements(file_name: str) -> Statements:
    """The statements of `sql/<file_name>`. Raises `ValueError` for a file that is not written as described above."""
    text = (files("torkd.datastore.postgres") / "sql" / file_name).read_text(encoding="utf-8")
    return parse_statements(text, file_name)


def parse_statements(text: str, file_name: str) -> Statements:
    """The statements of a text; `file_name` is for the errors."""
    bodies: dict[str, list[str]] = {}
    name = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _NAME.match(line):
            name = match[1]
            if name in bodies:
                raise ValueError(
                    f"{file_name}:{number}: the name '{name}' was used before; every statement needs its own"
                )
            bodies[name] = []
        elif line.strip() and not line.lstrip().startswith("--"):
            if not name:
                raise ValueError(f"{file_name}:{number}: a statement needs a line '-- name: <its name>' above it")
            bodies[name].append(line.strip())
    statements = Statements({name: "\n".join(lines).strip().removesuffix(";") for name, lines in bodies.items()})
    if empty := [name for name, statement in statements.items() if not statement]:
        raise ValueError(f"{file_name}: nothing stands under the name '{empty[0]}'")
    return statements
