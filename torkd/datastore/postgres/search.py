"""Which jobs a list shows: the conditions of a query, in SQL, with the values they bind.

The words of the text must all occur, as English stems, in a job's name or description or be its state. The state is not
in the text index, because it changes: a word that is the name of one makes a branch of the search for jobs in that state,
beside the one for jobs that have the word in their text. Each branch asks for one state at most, so an index answers it in
order, however many jobs there are. Words that mean nothing (`the`) do not count; a text of only such words finds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
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
FEW = 2000
"""So many matches are looked up one by one in a few milliseconds."""
_OF_THE_ROW = frozenset({"has_state", "has_prefix", "has_schedule", "may_be_seen"})
# conditions that the table of jobs answers alone
_OF_DETAILS = frozenset({"has_words", "has_text_tags", "has_tags"})
# conditions that what never changes answers alone


@dataclass(frozen=True, kw_only=True, slots=True)
class _Branch:
    """One way to match: the state a job has to be in, if any, and what its text has to match, if anything."""

    state: str | None = None
    words: str = ""


@dataclass(slots=True)
class Search:
    """A query that was understood. `hopeless`: nothing can match, nobody needs to be asked."""

    conditions: list[str] = field(default_factory=list)
    """Those that all branches have."""
    branches: list[_Branch] = field(default_factory=lambda: [_Branch()])
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def hopeless(self) -> bool:
        return not self.branches

    def find(self, counted: int) -> str:
        """The statement that finds a page of ids; binds `size`, `offset` and, as their sum, `far` too.

        Through few matches it is quickest to go one by one; of many, the newest jobs are some before long.
        """
        found = [
            self._few(number)
            if counted <= FEW and self._is_about_details(branch)
            else self._statement(number, head=self._head(branch), tail=_SQL.newest_of_branch)
            for number, branch in enumerate(self.branches)
        ]
        return "\n".join([_SQL.found, _union(found), _SQL.newest_first])

    def count(self) -> str:
        """The statement that counts; binds `limit` too."""
        if self.conditions == [] and self.branches == [_Branch()]:
            return _SQL.count_all
        found = [
            self._statement(number, head=self._counted_head(branch), tail=_SQL.some_of_branch)
            for number, branch in enumerate(self.branches)
        ]
        return "\n".join([_SQL.counted, _union(found), _SQL.at_most])

    @property
    def is_counted_in_full(self) -> bool:
        """Whether the count does not stop at the limit."""
        return self.count() == _SQL.count_all

    def _conditions_of(self, branch: _Branch) -> list[str]:
        own = [("has_state", branch.state is not None), ("has_words", bool(branch.words))]
        return [*self.conditions, *(name for name, is_asked in own if is_asked)]

    def _head(self, branch: _Branch) -> str:
        return _SQL.jobs if _OF_THE_ROW.issuperset(self._conditions_of(branch)) else _SQL.jobs_with_details

    def _counted_head(self, branch: _Branch) -> str:
        conditions = self._conditions_of(branch)
        return _SQL.details if conditions and _OF_DETAILS.issuperset(conditions) else self._head(branch)

    def _is_about_details(self, branch: _Branch) -> bool:
        """With a state it may be that alone of which there are few."""
        return branch.state is None and bool(_OF_DETAILS.intersection(self._conditions_of(branch)))

    def _few(self, number: int) -> str:
        names = self._conditions_of(self.branches[number])
        of_details = self._filters(number, [name for name in names if name in _OF_DETAILS])
        of_the_row = self._filters(number, [name for name in names if name in _OF_THE_ROW])
        return "\n".join([_SQL.few_details, *of_details, _SQL.look_up, *of_the_row, _SQL.newest_of_branch])

    def _filters(self, number: int, names: list[str]) -> list[str]:
        branch = self.branches[number]
        self.values |= {f"state_{number}": branch.state, f"words_{number}": branch.words}
        return [f"AND {_SQL[name].replace('{n}', str(number))}" for name in names]

    def _statement(self, number: int, *, head: str, tail: str) -> str:
        filters = self._filters(number, self._conditions_of(self.branches[number]))
        return "\n".join([_columns(head, tail), *filters, tail])

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
    if query.id_prefix:
        prefix = bindable(query.id_prefix)
        search._require("has_prefix", id_from=prefix, id_to=prefix + _HIGHEST)
    if query.schedule_id:
        search._require("has_schedule", schedule_id=bindable(query.schedule_id))
    if query.viewer is not None:
        search._require("may_be_seen", viewer=query.viewer.user_id, viewer_ids=query.viewer.ids)
    if words:
        known = {"words": [bindable(word) for word in dict.fromkeys(words)], "states": _ALL_STATES}
        search.branches = _branches_of(cursor.execute(_SQL.words, known).fetchall())
    if query.states:
        search.branches = list(_in_states(search.branches, [state.value for state in query.states]))
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


def _branches_of(meanings: list[Row]) -> list[_Branch]:
    """All words in the text, or for each state that is named: those words as the state, the others in the text."""
    if not meanings:
        return []
    states = dict.fromkeys(meaning["state"] for meaning in meanings if meaning["state"] is not None)
    ways = [None, *states]
    return [
        _Branch(
            state=way,
            words=" & ".join(f"({meaning['query']})" for meaning in meanings if way is None or meaning["state"] != way),
        )
        for way in ways
    ]


def _in_states(branches: Iterable[_Branch], states: Iterable[str]) -> Iterable[_Branch]:
    """The same branches, once for each of these states that they can have."""
    wanted = list(dict.fromkeys(states))
    for branch in branches:
        if branch.state is None:
            yield from (_Branch(state=state, words=branch.words) for state in wanted)
        elif branch.state in wanted:
            yield branch


def _union(statements: list[str]) -> str:
    """A job that matches in several ways is found once."""
    return "\nUNION\n".join(f"({statement})" for statement in statements)


def _columns(head: str, tail: str) -> str:
    """What is counted needs no more than the id."""
    return head if tail == _SQL.newest_of_branch else head.replace("j.id, j.created_at", "j.id")
