"""Which jobs a list shows: the conditions of a query, in SQL, with the values they bind.

The words of the text must all occur, as English stems, in a job's name or description or be its state. The state is
decided word by word, because it is not in the text index: it changes. Words that mean nothing (`the`) do not count; a
text of only such words finds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psycopg

from tork.job import JobState
from torkd.datastore.postgres.querying import Row, bindable
from torkd.datastore.postgres.statements import load_statements
from torkd.datastore.protocol import JobQuery

_SQL = load_statements("job_search.sql")
_ALL_STATES = [state.value for state in JobState]
_HIGHEST = "\U0010ffff"
_OF_THE_ROW = frozenset({"has_state", "has_prefix", "has_schedule", "may_be_seen"})
# conditions that the table of jobs answers alone


@dataclass(slots=True)
class Search:
    """A query that was understood. `hopeless`: nothing can match, nobody needs to be asked."""

    conditions: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    hopeless: bool = False

    def find(self) -> str:
        """The statement that finds a page of ids; binds `size` and `offset` too."""
        head = _SQL.find_by_details if self._needs_details() else _SQL.find
        return "\n".join([head, *self._filters(), _SQL.newest_first])

    def count(self) -> str:
        """The statement that counts; binds `limit` too."""
        head = _SQL.count_by_details if self._needs_details() else _SQL.count
        return "\n".join([head, *self._filters(), _SQL.at_most])

    def _needs_details(self) -> bool:
        return not _OF_THE_ROW.issuperset(self.conditions)

    def _filters(self) -> list[str]:
        return [f"AND {_SQL[name]}" for name in self.conditions]

    def _require(self, condition: str, **values: Any) -> None:
        self.conditions.append(condition)
        self.values |= values


def understand(query: JobQuery, cursor: psycopg.Cursor[Row]) -> Search:
    """The conditions of a query. Asks the database once, and only when there are words."""
    search = Search()
    words, tags = split_text(query.text)
    if tags:
        search._require("has_text_tags", text_tags=[bindable(tag) for tag in tags])
    if query.tags:
        search._require("has_tags", tags=[bindable(tag) for tag in query.tags])
    if query.states:
        search._require("has_state", states=[state.value for state in query.states])
    if query.id_prefix:
        prefix = bindable(query.id_prefix)
        search._require("has_prefix", id_from=prefix, id_to=prefix + _HIGHEST)
    if query.schedule_id:
        search._require("has_schedule", schedule_id=bindable(query.schedule_id))
    if query.viewer is not None:
        search._require("may_be_seen", viewer=query.viewer.user_id, viewer_ids=query.viewer.ids)
    if words:
        _add_words(search, words, cursor)
    return search


def split_text(text: str) -> tuple[list[str], list[str]]:
    """Words and tags of a search text: `tag:x` is a tag, `tags:a,b` are two."""
    words: list[str] = []
    tags: list[str] = []
    for word in text.split():
        if word.startswith("tag:"):
            tags.append(word.removeprefix("tag:"))
        elif word.startswith("tags:"):
            tags.extend(word.removeprefix("tags:").split(","))
        else:
            words.append(word)
    return words, [tag for tag in tags if tag]


def _add_words(search: Search, words: list[str], cursor: psycopg.Cursor[Row]) -> None:
    known = {"words": [bindable(word) for word in dict.fromkeys(words)], "states": _ALL_STATES}
    meanings = cursor.execute(_SQL.words, known).fetchall()
    search.hopeless = not meanings
    plain = [meaning["query"] for meaning in meanings if meaning["state"] is None]
    of_states = [meaning for meaning in meanings if meaning["state"] is not None]
    if plain:
        search._require("has_words", words_query=" & ".join(f"({query})" for query in plain))
    if of_states:
        queries = [meaning["query"] for meaning in of_states]
        search._require(
            "has_state_words", state_queries=queries, state_names=[meaning["state"] for meaning in of_states]
        )
