from __future__ import annotations

from importlib.resources import files

import pytest
from psycopg._queries import MAX_CACHED_STATEMENT_LENGTH

from torkd.datastore.postgres.statements import load_statements, parse_statements

TWO = """-- About the file.
-- name: first
-- The first, 100 % commented.
SELECT 1
  FROM x -- name: not_a_name
 WHERE y = %(y)s;

-- name: second
SELECT 2
"""


def test_statements_are_found_under_their_names() -> None:
    statements = parse_statements(TWO, "two.sql")
    assert statements == {
        "first": "SELECT 1\nFROM x -- name: not_a_name\nWHERE y = %(y)s",
        "second": "SELECT 2",
    }
    assert statements.second == "SELECT 2"


def test_a_name_that_is_not_there_says_so() -> None:
    with pytest.raises(AttributeError, match="no statement is named 'third'"):
        _ = parse_statements(TWO, "two.sql").third


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("SELECT 1", "two.sql:1: a statement needs a line", id="no-name"),
        pytest.param("-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;", "two.sql:3: the name 'a' was used", id="twice"),
        pytest.param("-- name: a\n-- name: b\nSELECT 2;", "nothing stands under the name 'a'", id="empty"),
    ],
)
def test_a_badly_written_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_statements(text, "two.sql")


def _statement_files() -> list[str]:
    folder = files("torkd.datastore.postgres") / "sql"
    return sorted(
        entry.name for entry in folder.iterdir() if entry.name.endswith(".sql") and entry.name != "schema.sql"
    )


@pytest.mark.parametrize("file_name", _statement_files())
def test_every_file_of_statements_can_be_read(file_name: str) -> None:
    assert load_statements(file_name)


@pytest.mark.parametrize("file_name", _statement_files())
def test_every_statement_is_short_enough_for_psycopg_to_remember_its_parameters(file_name: str) -> None:
    lengths = {name: len(statement) for name, statement in load_statements(file_name).items()}
    too_long = {name for name, length in lengths.items() if length > MAX_CACHED_STATEMENT_LENGTH}
    assert not too_long, "each use would take it apart again, which costs a tenth of a batch"
