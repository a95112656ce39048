"""Which jobs a list shows: the conditions of a query, in SQL, with the values they bind.

The words of the text must all occur, as English stems, in a job's name or description or be its state. The state is not
in the text index, because it changes: a word that is the name of one makes a branch of the search for jobs in that state,
beside the one for jobs that have the word in their text. Each branch asks for one state at most, so an index answers it in
order, however many jobs there are. Words that mean nothing (`the`) do not count; a text of only such words finds nothing.

Matches are gone through up to the number that is counted: what is searched for stands in rows of its own with all that sorting
and permissions need, so no match has to be looked up. Of more matches than that, the newest jobs are some before long.
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
_COMPLETED = JobState.COMPLETED.value
_HIGHEST = "\U0010ffff"
_OF_DETAILS = frozenset({"has_words", "has_text_tags", "has_tags"})
# conditions that make it worth while to begin at what is searched for
_OF_JOBS = frozenset({"has_state", "has_prefix"})
# conditions that only the table of jobs answers; the others are answered by either


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

    @property
    def is_for_all(self) -> bool:
        """Whether every job matches."""
        return self.conditions == [] and self.branches == [_Branch()]

    def through_matches(self) -> str:
        """The statement that counts the matches, up to `limit`, and finds a page of them; binds `size` and `offset` too."""
        found = [self._matches(number) for number in range(len(self.branches))]
        return "\n".join([_SQL.found, _union(found), _SQL.counted_page])

    def through_jobs(self) -> str:
        """The statement that finds a page when there are more matches than that; binds `size`, `offset` and, as their sum, `far`."""
        found = [self._newest(number) for number in range(len(self.branches))]
        return "\n".join([_SQL.newest, _union(found), _SQL.newest_first])

    def _names(self, number: int) -> list[str]:
        branch = self.branches[number]
        own = [("has_state", branch.state is not None), ("has_words", bool(branch.words))]
        return [*self.conditions, *(name for name, is_asked in own if is_asked)]

    def _matches(self, number: int) -> str:
        names = self._names(number)
        if _OF_DETAILS.isdisjoint(names):
            head = _SQL.jobs
        elif _OF_JOBS.intersection(names) == {"has_state"} and self.branches[number].state == _COMPLETED:
            head = _SQL.details
            names = ["has_completed" if name == "has_state" else name for name in names]
        else:
            head = _SQL.details if _OF_JOBS.isdisjoint(names) else _SQL.jobs_with_details
        return self._statement(number, head, names, _SQL.some)

    def _newest(self, number: int) -> str:
        names = self._names(number)
        head = _SQL.jobs if _OF_DETAILS.isdisjoint(names) else _SQL.jobs_with_details
        return self._statement(number, head, names, _SQL.newest_of_branch)

    def _statement(self, number: int, head: str, names: list[str], tail: str) -> str:
        branch, table = self.branches[number], "j" if head == _SQL.jobs else "d"
        self.values |= {f"state_{number}": branch.state, f"words_{number}": branch.words}
        filters = [f"AND {_SQL[name].replace('{n}', str(number)).replace('{t}', table)}" for name in names]
        return "\n".join([head, *filters, tail])

    def _require(self, condition: str, **values: Any) -> None:
        self.conditions.append(condition)
        self.values |= values


def understand(query: JobQuery, cursor: psycopg.Cursor[Row]) -> Search:
    """The conditions of a query. Asks the database once, and only when there are words."""
    search = Search(values={"not_completed": [state for state in _ALL_STATES if state != _COMPLETED]})
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
