"""Sealed columns: what goes in comes out, nothing of it can be read meanwhile, and no user's text is mistaken for a sealed one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import a_task
from tork.errors import BadData, DatastoreUnavailable
from torkd.datastore.postgres import sealed_columns
from torkd.datastore.postgres.sealed_columns import CLEAR, COLUMNS, MARK, SealedColumns
from torkd.sealing import KeyRing

KEYS = KeyRing("words")
SEALING, CLEAR_ONES = SealedColumns(KEYS), SealedColumns()


def stored(columns: SealedColumns, **values: Any) -> dict[str, Any]:
    (row,) = json.loads(columns.rows_text([{"job_id": "j1", **values}]))
    return dict(row)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_that_may_hold_secrets_is_sealed_and_opened(column: str) -> None:
    row = stored(SEALING, **{column: "hunter2"})
    assert row[column].startswith(MARK)
    assert SEALING.open_row(row, "j1") == {"job_id": "j1", column: "hunter2"}


def test_a_document_is_sealed_as_its_json() -> None:
    row = stored(SEALING, spec=a_task("a", run="echo hunter2"), scope={"item": 1}, items=[1, "two"])
    opened = SEALING.open_row(row, "j1")
    assert json.loads(opened["spec"])["run"] == "echo hunter2"
    assert (opened["scope"], opened["items"]) == ('{"item":1}', '[1,"two"]')


def test_what_sql_looks_into_and_what_is_empty_stays_as_it_is() -> None:
    values = {"state": "RUNNING", "queue": "gpu", "result": "", "error": None, "position": 3}
    assert stored(SEALING, **values) == {"job_id": "j1", **values}


def test_rows_of_jobs_are_known_by_their_own_id() -> None:
    (row,) = json.loads(SEALING.rows_text([{"id": "j1", "name": "hunter2"}], job="id"))
    assert SEALING.open("j1", row["name"]) == "hunter2"


def test_a_sealed_value_is_no_other_job_s() -> None:
    with pytest.raises(BadData, match="can't be opened"):
        SEALING.open("j2", stored(SEALING, value="hunter2")["value"])


def test_a_clear_value_is_read_with_a_key() -> None:
    assert SEALING.open("j1", stored(CLEAR_ONES, value="hunter2")["value"]) == "hunter2"


def test_several_values_in_one_column_are_opened_one_by_one() -> None:
    sealed = stored(SEALING, value="hunter2")["value"]
    assert SEALING.open_row({"inputs": {"a": sealed, "b": "clear"}}, "j1") == {"inputs": {"a": "hunter2", "b": "clear"}}


@pytest.mark.parametrize("columns", [SEALING, CLEAR_ONES], ids=["with-a-key", "without-a-key"])
@given(text=st.builds("{}{}".format, st.sampled_from(["", MARK, CLEAR, CLEAR + CLEAR, MARK + "AAAA"]), st.text()))
def test_whatever_a_user_writes_is_read_as_it_was_written(columns: SealedColumns, text: str) -> None:
    try:
        row = stored(columns, value=text, error=text)
    except BadData:
        assert any("\ud800" <= character <= "\udfff" for character in text)
        return
    assert columns.open_row(dict(row), "j1") == {"job_id": "j1", "value": text, "error": text}
    if columns is CLEAR_ONES:
        assert SEALING.open("j1", row["value"]) == text, "after a key was set"


def test_without_a_key_documents_are_stored_as_they_always_were() -> None:
    rows = [{"job_id": "j1", "spec": {"run": "x"}, "value": "v"}]
    assert CLEAR_ONES.rows_text(rows) == '[{"job_id":"j1","spec":{"run":"x"},"value":"v"}]'


def test_a_missing_key_is_trouble_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = SealedColumns(KeyRing("other words"))
    assert columns.trouble() == ""
    monkeypatch.setattr(sealed_columns, "TROUBLE_SECONDS", 3600.0)
    with pytest.raises(DatastoreUnavailable, match=f"the database holds values sealed with the .* {KEYS.key_id}"):
        columns.open("j1", stored(SEALING, value="hunter2")["value"])
    assert KEYS.key_id in columns.trouble()
    monkeypatch.setattr(sealed_columns, "TROUBLE_SECONDS", 0.0)
    with pytest.raises(DatastoreUnavailable):
        columns.open("j1", stored(SEALING, value="hunter2")["value"])
    assert columns.trouble() == ""


@pytest.mark.parametrize("text", [MARK, MARK + "no base64", MARK + "AAAA", CLEAR[:-1]])
def test_what_nobody_sealed_is_bad_data(text: str) -> None:
    with pytest.raises(BadData):
        SEALING.open("j1", text)
